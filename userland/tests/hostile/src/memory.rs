//! Other people's memory: by way of the kernel, and by looking for a neighbour's secret in all that can be read.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;

use libslop::abi::{Errno, Syscall, USER_BASE, USER_END};
use libslop::{println, time};

use crate::check::{self, Failed, Words};
use hostile::random::Random;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Words of the secret: a page.
const LENGTH: usize = 512;
/// How often a guard looks at its secret between two lines.
const LOOKS: u32 = 10;
/// Addresses of the kernel's half that are tried beside the process's own.
const TRIES: u32 = 20_000;

/// Where a guard keeps its secret. Guard and searcher are the same program, so it is at the same address in both.
static SECRET: [AtomicU64; LENGTH] = [const { AtomicU64::new(0) }; LENGTH];

/// What all words of a seed's secret have in common.
fn mark(seed: u64) -> u64 {
    Random::new(seed).number()
}

/// `pass ADDRESS`: hands an address that is not the process's to each call that takes one.
pub fn pass(words: &mut Words) -> Result<(), Failed> {
    let address = words.number()?;
    for length in [1, 8, 64, 4096] {
        for (what, number, arguments) in [
            ("write from there", Syscall::Write.number(), [1, address, length, 0]),
            // The descriptor may be read; where there is nothing to be read yet, the memory still counts first.
            ("read to there", Syscall::Read.number(), [0, address, length, 0]),
            ("a name there", Syscall::Open.number(), [address, length.min(16), 0, 0]),
            ("a set there", Syscall::Poll.number(), [address & !7, 1, 0, 0]),
            ("net_info to there", Syscall::NetInfo.number(), [address, length, 0, 0]),
            ("grant_info to there", Syscall::GrantInfo.number(), [address, length, 0, 0]),
        ] {
            check::raw_refused(what, number, arguments, Errno::Fault)?;
        }
    }
    Ok(())
}

/// `guard SEED`: keeps a secret forever, and looks whether it is as it was.
pub fn guard(words: &mut Words) -> Result<(), Failed> {
    let mark = mark(words.number()?);
    for (word, index) in SECRET.iter().zip(1..) {
        word.store(mark ^ index, Relaxed);
    }
    println!("guard: the secret is at {:#x}", hazard::address(&SECRET));
    let mut lines = 0_u32;
    loop {
        for _ in 0..LOOKS {
            check::succeeds("sleep", time::sleep(Duration::from_millis(100)))?;
            let intact = SECRET.iter().zip(1..).all(|(word, index)| word.load(Relaxed) == mark ^ index);
            check::holds("the guard's secret", intact)?;
        }
        lines += 1;
        println!("guard: intact {lines}");
    }
}

/// `search SEED`: reads all that it can, in search of a guard's secret; then overwrites what lies at the secret's
/// address.
pub fn search(words: &mut Words) -> Result<(), Failed> {
    let mark = mark(words.number()?);
    println!("hostile: the secret would be at {:#x}", hazard::address(&SECRET));
    check::holds("the same address is another page", SECRET.iter().all(|word| word.load(Relaxed) == 0))?;
    let mut pages = 0;
    for page in (USER_BASE..USER_END).step_by(PAGE as usize).filter(|&page| is_readable(page)) {
        pages += 1;
        for address in (page..page + PAGE).step_by(8) {
            let word = hazard::load(address) ^ mark;
            check::holds("the secret can be read", !(1..=LENGTH as u64).contains(&word))?;
        }
    }
    for address in (0..USER_BASE).step_by(PAGE as usize).chain((USER_END..2 * USER_END).step_by(PAGE as usize)) {
        check::holds("a page outside the process is readable", !is_readable(address))?;
    }
    let mut random = Random::new(mark);
    for _ in 0..TRIES {
        let address = random.number() | 0xffff_8000_0000_0000;
        check::holds("a page of the kernel is readable", !is_readable(address))?;
        check::holds("a page of the kernel is readable", !is_readable(address | 0xffff_ffff_8000_0000))?;
    }
    println!("hostile: {pages} pages can be read, and the secret is in none");
    SECRET.iter().for_each(|word| word.store(u64::MAX, Relaxed));
    check::succeeds("sleep", time::sleep(Duration::from_millis(300)))
}

/// Whether the process may read there, as the kernel sees it: a name of one byte is looked up, and there is no region
/// of that name.
fn is_readable(address: u64) -> bool {
    hazard::call(Syscall::Open.number(), [address, 1, 0, 0]) != Errno::Fault.to_return()
}
