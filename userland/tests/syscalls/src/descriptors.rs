//! Numbers that are no call, descriptors that are not open, rights that were given up.

use libslop::abi::limits::{CONSOLE_DESCRIPTORS, DESCRIPTORS};
use libslop::abi::{Errno, Rights, STDERR, STDIN, STDOUT, Syscall};
use libslop::{Region, call};

use crate::check::{Checks, Failed};
use crate::region::SCRATCH;

/// Numbers that no call has; the larger ones would be one if only their low bits counted.
const UNKNOWN: [u64; 9] = [2, 13, 38, 119, 131, 255, 256, Syscall::Time.number() | 1 << 32, u64::MAX];

pub fn run(checks: &mut Checks) -> Result<(), Failed> {
    unknown_calls(checks)?;
    not_open(checks)?;
    wrong_rights(checks)?;
    closed(checks)?;
    restricted(checks)?;
    full_table(checks)
}

fn unknown_calls(checks: &mut Checks) -> Result<(), Failed> {
    for number in UNKNOWN {
        checks.raw("a call that does not exist", number, [0; 4], Errno::NoSuchCall.to_return())?;
    }
    Ok(())
}

fn not_open(checks: &mut Checks) -> Result<(), Failed> {
    // Only the low bits of this one are a descriptor, the output.
    let wide = 1 << 32 | STDOUT as u64;
    checks.raw("write to a wide number", Syscall::Write.number(), [wide, 0, 0, 0], Errno::BadDescriptor.to_return())?;
    for descriptor in [3, 31, DESCRIPTORS as i32, 1_000, i32::MAX, -1, i32::MIN] {
        let mut byte = [0];
        checks.fails("read from no descriptor", call::read(descriptor, &mut byte), Errno::BadDescriptor)?;
        checks.fails("write to no descriptor", call::write(descriptor, b"x"), Errno::BadDescriptor)?;
        checks.fails("close no descriptor", call::close(descriptor), Errno::BadDescriptor)?;
        checks.fails("connect no descriptor", call::connect(descriptor, 0, 80, 1), Errno::BadDescriptor)?;
        checks.fails("restrict no descriptor", call::restrict(descriptor, Rights::NONE), Errno::BadDescriptor)?;
    }
    Ok(())
}

fn wrong_rights(checks: &mut Checks) -> Result<(), Failed> {
    checks.fails("write to the input", call::write(STDIN, b"x"), Errno::BadDescriptor)?;
    for descriptor in [STDOUT, STDERR] {
        let mut byte = [0];
        checks.fails("read from the output", call::read(descriptor, &mut byte), Errno::BadDescriptor)?;
        checks.fails("connect the console", call::connect(descriptor, 0, 80, 1), Errno::BadDescriptor)?;
    }
    Ok(())
}

fn closed(checks: &mut Checks) -> Result<(), Failed> {
    let number = checks.succeeds("open a region", call::open(SCRATCH))?;
    checks.succeeds("close it", call::close(number))?;
    let mut byte = [0];
    checks.fails("read what is closed", call::read(number, &mut byte), Errno::BadDescriptor)?;
    checks.fails("write what is closed", call::write(number, b"x"), Errno::BadDescriptor)?;
    checks.fails("close what is closed", call::close(number), Errno::BadDescriptor)?;
    let next = checks.succeeds("open a region", call::open(SCRATCH))?;
    checks.holds("a number is not given out again", next != number)?;
    checks.fails("read by the old number", call::read(number, &mut byte), Errno::BadDescriptor)?;
    checks.fails("close by the old number", call::close(number), Errno::BadDescriptor)?;
    checks.succeeds("close by the new number", call::close(next))
}

fn restricted(checks: &mut Checks) -> Result<(), Failed> {
    let region = checks.succeeds("open a region", Region::open(SCRATCH))?;
    let descriptor = region.descriptor();
    let mut sector = [0; 512];
    let number = descriptor.number() as u64;
    let unknown = [number, 8, 0, 0];
    checks.raw("keep a right that does not exist", Syscall::Restrict.number(), unknown, Errno::Invalid.to_return())?;
    checks.equal("give up writing", descriptor.restrict(Rights::READ), Ok(Rights::READ))?;
    checks.fails("write without the right", descriptor.write(&sector), Errno::BadDescriptor)?;
    checks.succeeds("read with the right", descriptor.read(&mut sector))?;
    checks.succeeds("ask for all rights", descriptor.restrict(Rights::ALL))?;
    checks.fails("a right does not come back", descriptor.write(&sector), Errno::BadDescriptor)?;
    checks.succeeds("give up all rights", descriptor.restrict(Rights::NONE))?;
    checks.fails("read without the right", descriptor.read(&mut sector), Errno::BadDescriptor)?;
    checks.succeeds("close without rights", region.close())
}

fn full_table(checks: &mut Checks) -> Result<(), Failed> {
    let mut open = [const { None }; DESCRIPTORS];
    let mut count = 0;
    let refusal = loop {
        match Region::open(SCRATCH) {
            Ok(region) if count < DESCRIPTORS => {
                open[count] = Some(region);
                count += 1;
            }
            other => break other.map(|_| ()),
        }
    };
    checks.equal(
        "the table holds three descriptors of the console and regions",
        count,
        DESCRIPTORS - CONSOLE_DESCRIPTORS,
    )?;
    checks.fails("open with a full table", refusal, Errno::TooManyOpen)?;
    for region in open.into_iter().flatten() {
        checks.succeeds("close", region.close())?;
    }
    let region = checks.succeeds("open when there is room again", Region::open(SCRATCH))?;
    checks.succeeds("close", region.close())?;
    checks.equal("yield returns 0", hazard::call(Syscall::Yield.number(), [0; 4]), 0)
}
