//! Commands that the manifest does not let the process have carried out, and texts that are made to look like one that
//! it does.

use libslop::abi::limits::ASKED_COMMAND_MAX;
use libslop::abi::{COMMANDS_NAME, Errno, Rights};
use libslop::{Commands, Descriptor, call};

use crate::check::{self, Failed, Words};

/// Commands that no manifest here grants.
const NOT_GRANTED: [&str; 10] = [
    "exit",
    "poweroff",
    "reboot",
    "log error",
    "kill guard",
    "stop webget",
    "start accomplice",
    "webget http://10.0.2.2/",
    "\"exit\"",
    "LEDGER",
];

/// `commands [WORD]`: WORD is the one command that the manifest grants, and prints something; without it there is none.
pub fn commands(words: &mut Words) -> Result<(), Failed> {
    let Some(granted) = words.next() else {
        let before = check::succeeds("ask for the grant", call::grant_info())?.denials;
        for name in [COMMANDS_NAME, "command", "commands\0", "console", "Commands"] {
            check::refused("open the way to the console", call::open(name), Errno::NotFound)?;
        }
        let after = check::succeeds("ask for the grant", call::grant_info())?.denials;
        return check::equal("each denial is counted", after - before, 5);
    };
    let number = check::succeeds("open the way to the console", call::open(COMMANDS_NAME))?;
    let way = Descriptor::from_number(number);
    let mut status = [0; 4];
    check::equal("read what was not asked for", way.read(&mut status), Ok(0))?;
    // One byte more than there is room for, and two commands where one fits.
    let long = [b'x'; ASKED_COMMAND_MAX + 1];
    for text in
        [&b" "[..], b"\n", b"\0", b"\x03", b"ledger;", b"ledger;exit", b";exit", b"ledger\rexit", b"ledger\nexit"]
            .into_iter()
            .chain([&b"ledger\0exit"[..], b"ledger \xff", b"ledger \"", b"ledger\" ;exit\"", b"\x1b[A", &long])
    {
        check::refused("ask for what is no command", way.write(text), Errno::Invalid)?;
    }
    let before = check::succeeds("ask for the grant", call::grant_info())?.denials;
    for command in NOT_GRANTED {
        check::refused("ask for what is not granted", way.write(command.as_bytes()), Errno::Access)?;
    }
    let after = check::succeeds("ask for the grant", call::grant_info())?.denials;
    check::equal("each denial is counted", after - before, NOT_GRANTED.len() as u64)?;
    check::equal("nothing was asked for", way.read(&mut status), Ok(0))?;

    let mut console = check::succeeds("open it again", Commands::open())?;
    for _ in 0..3 {
        check::equal("what is granted", console.run(granted), Ok(0))?;
    }
    check::succeeds("ask for what is granted", way.write(granted.as_bytes()))?;
    check::refused("read into too little", way.read(&mut status[..3]), Errno::Invalid)?;
    check::equal("give up reading", way.restrict(Rights::WRITE), Ok(Rights::WRITE))?;
    check::refused("read without the right", way.read(&mut status), Errno::BadDescriptor)?;
    check::refused("connect to it", call::connect(number, 0, 80, 1), Errno::BadDescriptor)?;
    check::refused("make it durable", call::sync(number), Errno::Invalid)?;
    check::equal("give up writing", way.restrict(Rights::NONE), Ok(Rights::NONE))?;
    check::refused("ask without the right", way.write(granted.as_bytes()), Errno::BadDescriptor)
}
