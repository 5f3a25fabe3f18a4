//! Command lines, right ones and wrong ones.

use super::*;

fn parsed(line: &'static str) -> Result<(Settings<'static>, Vec<&'static str>), UsageError<'static>> {
    match parse(line.split_whitespace())? {
        Command::Fetch(settings, urls) => Ok((settings, urls.collect())),
        Command::Help | Command::Version => panic!("{line}: nothing to fetch"),
    }
}

fn settings(line: &'static str) -> Settings<'static> {
    parsed(line).expect(line).0
}

fn refused(line: &'static str) -> String {
    parsed(line).expect_err(line).to_string()
}

#[test]
fn without_options_a_body_is_got_once_and_printed() {
    let (settings, urls) = parsed("http://10.0.2.2/ http://10.0.2.3/").unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!((settings.method, settings.output, settings.count), (Method::Get, Output::Print, 1));
    assert_eq!(urls, ["http://10.0.2.2/", "http://10.0.2.3/"]);
}

#[test]
fn options_combine_in_any_order() {
    for line in [
        "--sha256 --count 3 -I --timeout 2.5 --raw -o null u",
        "-o null --raw --timeout=2.50 -I --count=3 --sha256 u",
        "-Ionull -n3 --sha256 --timeout 2.500 --raw u",
        "u -I -n 3 --sha256 --timeout 2.5 --raw",
    ] {
        let (settings, urls) = parsed(line).unwrap();
        let timeout = Some(Duration::from_millis(2_500));
        let expected = Settings {
            method: Method::Head,
            output: Output::Digest,
            raw: true,
            count: 3,
            timeout,
            ..Settings::default()
        };
        assert_eq!(settings, expected, "{line}");
        assert_eq!(urls, ["u"]);
    }
    assert_eq!(settings("-o null u").output, Output::Discard);
}

#[test]
fn options_may_stand_behind_and_between_urls() {
    let (settings, urls) = parsed("-s u --retry 2 v -X PURGE w").unwrap();
    assert_eq!(urls, ["u", "v", "w"]);
    assert_eq!((settings.silent, settings.retries, settings.method), (true, 2, Method::Other("PURGE")));
}

#[test]
fn two_dashes_end_the_options() {
    assert_eq!(parsed("-I -- -o").unwrap().1, ["-o"]);
}

#[test]
fn a_body_makes_the_method() {
    assert_eq!(settings("-T store u").method, Method::Put);
    assert_eq!(settings("-T store u").body, Body::Region("store"));
    assert_eq!(settings("-d @store u").method, Method::Post);
    assert_eq!(settings("-d @store u").body, Body::Region("store"));
    let Body::Data(data) = settings("-d a=1 --data-raw @b u").body else { panic!("no data") };
    assert_eq!(data.as_slice(), ["a=1", "@b"]);
    assert_eq!(settings("-d x -X PATCH u").method, Method::Other("PATCH"));
    assert!(settings("-T store -H transfer-encoding:chunked u").is_chunked());
    assert!(!settings("-T store u").is_chunked());
}

#[test]
fn a_region_takes_one_body_and_may_take_the_rest_of_it() {
    let stored = settings("-o store u");
    assert_eq!((stored.region, stored.output, stored.resume), (Some("store"), Output::Keep, false));
    assert_eq!(settings("-o store --sha256 u").output, Output::Digest);
    for line in ["-C - -o store u", "--resume -o store u", "--continue-at - -o store u"] {
        assert!(settings(line).resume, "{line}");
    }
    assert_eq!(refused("-o store u v"), "-o REGION and several requests do not go together");
    assert_eq!(refused("-o store -n 2 u"), "-o REGION and several requests do not go together");
    assert_eq!(refused("-C - u"), "-C and an output that is no region do not go together");
    assert_eq!(refused("-C - -r 0-1 -o store u"), "-C and -r do not go together");
    assert_eq!(refused("-C x -o store u"), "-C cannot be \"x\"");
}

#[test]
fn a_download_that_lies_elsewhere_goes_on_at_an_offset() {
    assert_eq!((settings("-C 5 u").from, settings("-C 5 u").resume), (5, false));
    assert_eq!(settings("-C 0 u"), Settings::default());
    assert!(settings("--continue-at=18446744073709551615 -f u").fail);
    assert_eq!(refused("-C -5 u"), "-C cannot be \"-5\"");
    assert_eq!(refused("-C 5 -r 0-1 u"), "-C and -r do not go together");
    for line in ["-C 5 -o store u", "-C 5 --sha256 u", "-C 5 -n 2 u", "-C 5 u v"] {
        assert_eq!(refused(line), "-C N and a region, a digest or several requests do not go together", "{line}");
    }
}

#[test]
fn redirects_are_followed_where_that_is_asked_for() {
    assert_eq!(settings("--max-redirs 3 u").redirects, None);
    assert_eq!(settings("-L u").redirects, Some(10));
    assert_eq!(settings("-L --max-redirs 0 u").redirects, Some(0));
}

#[test]
fn help_and_version_need_no_url_and_help_names_every_option() {
    assert!(matches!(parse("--help".split(' ')), Ok(Command::Help)));
    assert!(matches!(parse("-s -V".split(' ')), Ok(Command::Version)));
    for (_, name, _) in NAMES {
        let known = ["help", "version", "data-binary", "data-raw"].contains(&name);
        assert!(known || HELP.contains(&format!("--{name}")), "{name}");
    }
    assert!(HELP.lines().all(|line| line.len() < 80), "a terminal has 80 columns");
}

#[test]
fn mistakes_are_named() {
    assert_eq!(refused(""), "no URL");
    assert_eq!(refused("--sha256"), "no URL");
    assert_eq!(refused("--nonsense u"), "unknown option --nonsense");
    assert_eq!(refused("--tiemout 3 u"), "unknown option --tiemout; did you mean --timeout?");
    assert_eq!(refused("--max-redirects 3 u"), "unknown option --max-redirects; did you mean --max-redirs?");
    assert_eq!(refused("-x u"), "unknown option -x");
    assert!(refused("--count").contains("--count"));
    assert!(refused("--sha256=yes u").contains("--sha256"));
    assert!(refused("--raw=yes u").contains("--raw"));
    for count in ["0", "-1", "many", "4294967296", ""] {
        let line: &'static str = format!("--count={count} u").leak();
        assert_eq!(refused(line), format!("--count cannot be {count:?}"));
    }
    for timeout in ["0", "0.000", "-1", "1.", ".5", "1.2345", "1e3", "+1", "1000000", ""] {
        let line: &'static str = format!("--timeout={timeout} u").leak();
        assert_eq!(refused(line), format!("--timeout cannot be {timeout:?}"));
    }
}

#[test]
fn what_a_request_cannot_hold_is_refused() {
    assert_eq!(refused("-X CONNECT u"), "-X cannot be \"CONNECT\"");
    assert_eq!(refused("-H Content-Length:5 u"), "-H cannot be \"Content-Length:5\"");
    assert_eq!(refused("-H Transfer-Encoding:gzip -T s u"), "-H cannot be \"Transfer-Encoding:gzip\"");
    assert_eq!(refused("-H Transfer-Encoding:chunked u"), "Transfer-Encoding and no body do not go together");
    assert_eq!(refused("-r 9-5 u"), "-r cannot be \"9-5\"");
    assert_eq!(refused("-I -d x u"), "-I and a body do not go together");
    assert_eq!(refused("-T s -d x u"), "-T and -d do not go together");
    assert_eq!(refused("-d x -T s u"), "-T and -d do not go together");
    assert_eq!(refused("-d @s -d x u"), "-d @REGION and other data do not go together");
    assert_eq!(refused("-d x -d @s u"), "-d @REGION and other data do not go together");
    let many: &'static str = format!("{} u", "-H A:b ".repeat(17)).leak();
    assert_eq!(refused(many), "-H can be given 16 times");
}
