//! The rights of a descriptor.

use crate::Errno;
use crate::bits::bit_set;

bit_set! {
    /// What a process may do with a descriptor; the argument of RESTRICT.
    pub struct Rights(u8);
    /// It may be read.
    READ = 0;
    /// It may be written.
    WRITE = 1;
    /// It may be connected.
    CONNECT = 2;
}

/// The argument of RESTRICT: EINVAL where it has a bit that is no right.
impl TryFrom<u64> for Rights {
    type Error = Errno;

    fn try_from(bits: u64) -> Result<Rights, Errno> {
        let known = u8::try_from(bits).map(Rights).map_err(|_| Errno::Invalid)?;
        if Rights::ALL.contains(known) { Ok(known) } else { Err(Errno::Invalid) }
    }
}
