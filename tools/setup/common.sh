# What the scripts share; to be sourced at the root of the tree.

# usage "$@": where an argument asks for help, prints the comment at the top of the script and ends it.
usage() {
    for word; do
        case $word in
            -h | --help)
                sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
                exit
                ;;
        esac
    done
}

# shown ARGUMENT...: cargo, with what it says of its work but without the line that it is done, which is all that it says
# where there is nothing to compile. Its status is cargo's.
shown() {
    colour=${CARGO_TERM_COLOR:-auto}
    if [ "$colour" = auto ] && [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then colour=always; fi
    { status=$(
        { { CARGO_TERM_COLOR=$colour cargo "$@" 2>&1 >&4 3>&- 4>&- || echo $? >&3; } |
            sed -u '/^\( \|\x1b\[[0-9;]*m\)*Finished.* target(s) in /d' >&2 4>&-; } 3>&1
    ); } 4>&1
    return "${status:-0}"
}
