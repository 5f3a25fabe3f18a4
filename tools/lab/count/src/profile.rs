//! A run of the board under the plugin, and what the plugin wrote.

use anyhow::{Context, Result, anyhow, bail};
use slopos_lab::link::escape;
use slopos_run::{Accelerator, Machine, Transport, Verdict, verdict};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The plugin that `build.rs` compiled.
const PLUGIN: &str = env!("COUNT_PLUGIN");

/// Longest run. 64 MiB take about two seconds on an idle machine, ten thousand requests a minute.
const LIMIT: Duration = Duration::from_secs(600);

/// Memory of a board that needs no more than others, in MiB.
pub const MEMORY: u32 = 16;

/// What was counted at one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How often the instruction was carried out.
    pub count: u64,
    /// How many instructions had been carried out before it was first seen.
    pub before: u64,
}

/// The instructions of a run, by their address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// What was counted at each address that was reached.
    pub counts: BTreeMap<u64, Count>,
}

impl Profile {
    /// Instructions carried out in all.
    pub fn total(&self) -> u64 {
        self.counts.values().map(|count| count.count).sum()
    }

    /// Reads what the plugin wrote.
    ///
    /// # Errors
    /// A line is not as the plugin writes it, or the last one is missing, or its sum is not that of the others.
    pub fn parse(text: &str) -> Result<Profile> {
        let mut profile = Profile::default();
        let mut lines = text.lines();
        let last = lines.next_back().context("the plugin wrote nothing")?;
        let sum = last.strip_prefix("end ").context("the plugin's file is cut off")?;
        for line in lines {
            let wrong = || anyhow!("the plugin wrote {line:?}");
            let words: Vec<&str> = line.split(' ').collect();
            let [address, count, before] = words[..] else { return Err(wrong()) };
            let address = u64::from_str_radix(address, 16).map_err(|_| wrong())?;
            let count =
                Count { count: count.parse().map_err(|_| wrong())?, before: before.parse().map_err(|_| wrong())? };
            if profile.counts.insert(address, count).is_some() {
                return Err(wrong());
            }
        }
        if sum.parse() != Ok(profile.total()) {
            bail!("the plugin counted {sum} instructions, and its lines say {}", profile.total());
        }
        Ok(profile)
    }
}

/// What is outside the guest and takes part in a run.
#[derive(Clone, Copy, Debug)]
pub enum Peer<'a> {
    /// Neither network nor flash: the same run has the same counts, whenever it is made.
    None,
    /// The flash as a module in memory, and a network device with nobody at its other end: nothing comes from outside. A
    /// disk would answer in the host's time, and guest time would run past the driver's deadline while all waits for it.
    Nobody,
    /// A network whose every frame a script decides, in lock step with the guest.
    Script {
        /// QEMU's `-netdev` without its id.
        netdev: &'a str,
        /// The socket that hears when the processor waits.
        halts: &'a Path,
    },
    /// A server on the host answers, in its own time; guest time passes at its own pace while the guest waits.
    Host,
    /// The same behind another link than QEMU's user networking: its `-netdev` without its id.
    Link(&'a str),
}

/// A board and how to count it.
#[derive(Clone, Debug)]
pub struct Board {
    /// The board's files without their endings.
    pub image: PathBuf,
    /// Its memory in MiB.
    pub memory: u32,
}

impl Board {
    /// The kernel's ELF.
    pub fn kernel(&self) -> PathBuf {
        self.image.with_added_extension("elf")
    }

    /// Boots the board, has it carry out `commands` and exit, and counts from reset on. The console's text is
    /// returned with the counts.
    ///
    /// # Errors
    /// QEMU cannot be started or does not take the plugin, or the last command has another status than 0.
    pub fn run(&self, commands: &str, peer: Peer<'_>) -> Result<(Profile, String)> {
        let folder = tempfile::Builder::new().prefix("slopos-count-").tempdir().context("a temporary folder")?;
        let file = folder.path().join("counts");
        let mut plugin = OsString::from(format!("{},out={}", escape(Path::new(PLUGIN)), escape(&file)));
        let mut machine = Machine::image(&self.image)
            .accelerator(Accelerator::Tcg)
            .memory(format!("{}M", self.memory))
            .timeout(LIMIT)
            .append(format!("{commands}; exit"));
        // One instruction is one nanosecond. Waiting costs no time where nothing comes from outside.
        let mut icount = "shift=0,sleep=off";
        match peer {
            Peer::None => machine = machine.network(Transport::None).disk(Transport::None),
            // A hub keeps what it can give to nobody, so it has a second port, which leads nowhere.
            Peer::Nobody => {
                machine = machine.netdev("hubport,hubid=0").arguments(["-netdev", "hubport,id=nowhere,hubid=0"]);
                let flash = self.image.with_added_extension("img");
                let bytes = fs::metadata(&flash).with_context(|| flash.display().to_string())?.len();
                machine = machine
                    .memory(format!("{}M", u64::from(self.memory) + bytes.div_ceil(1 << 20)))
                    .disk(Transport::None)
                    .arguments([OsString::from("-initrd"), flash.into()]);
            }
            Peer::Script { netdev, halts } => {
                icount = "shift=0";
                plugin.push(format!(",halts={}", escape(halts)));
                machine = machine.netdev(netdev);
            }
            Peer::Host => icount = "shift=0",
            Peer::Link(netdev) => {
                icount = "shift=0";
                machine = machine.netdev(netdev);
            }
        }
        // What the guest takes for random numbers is the same in each run.
        let seed = ["-seed", "1"].map(OsString::from);
        let outcome = machine
            .arguments(seed)
            .arguments([OsString::from("-icount"), icount.into(), "-plugin".into(), plugin])
            .run()?;
        if verdict(outcome.code) != Verdict::Exit(0) {
            bail!("`{commands}` ended with code {}:\n{}", outcome.code, outcome.words());
        }
        let text = fs::read_to_string(&file).context("the plugin's file")?;
        Ok((Profile::parse(&text)?, outcome.console))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_believed_only_when_it_is_whole_and_adds_up() {
        let profile = Profile::parse("ffffffff80100000 3 40\n400000 2 7\nend 5\n").unwrap();
        assert_eq!(profile.total(), 5);
        assert_eq!(profile.counts[&0x40_0000], Count { count: 2, before: 7 });
        for broken in ["", "400000 2 7\n", "400000 2 7\nend 3\n", "400000 2\nend 2\n", "x 2 7\nend 2\n"] {
            assert!(Profile::parse(broken).is_err(), "{broken:?}");
        }
        assert!(Profile::parse("400000 1 7\n400000 1 7\nend 2\n").is_err(), "an address twice");
    }
}
