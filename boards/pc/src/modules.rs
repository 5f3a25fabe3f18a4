//! The modules that the loader has put into memory, of which one may be the flash. They are never written, and nothing
//! else is kept where they are.

use crate::image;
use slopos_x86_64::paging::KernelSpace;
use slopos_x86_64::start_info::{MODULES_MAX, StartInfo};

/// The modules that the loader names, in its order; `None` for one that cannot be used.
pub type Modules = heapless::Vec<Option<&'static [u8]>, MODULES_MAX>;

/// The addresses of the kernel's image.
fn image() -> core::ops::Range<u64> {
    image::FIRST_MIB..image::physical_end()
}

/// The first address and the length of each module that can be used.
pub fn usable(info: &StartInfo) -> impl Iterator<Item = (u64, u64)> {
    let usable =
        info.modules.iter().filter(|module| slopos_x86_64::modules::check(module, &info.memory, image()).is_ok());
    usable.map(|module| (module.start, module.length))
}

/// Maps them for good. What is wrong with one is in the log.
pub fn map(info: &StartInfo, space: &mut KernelSpace) -> Modules {
    let mut modules = Modules::new();
    for (number, module) in (1_u32..).zip(&info.modules) {
        let bytes = match slopos_x86_64::modules::check(module, &info.memory, image()) {
            Err(error) => {
                defmt::error!(
                    "boot: module {=u32} at {=u64:#x}, length={=u64}: {}",
                    number,
                    module.start,
                    module.length,
                    error
                );
                None
            }
            Ok(()) => {
                let start = space.map_constant(module.start, module.length);
                if start.is_none() {
                    defmt::error!("boot: no room to map module {=u32}, length={=u64}", number, module.length);
                }
                // SAFETY: just mapped for ever, and RAM that is neither the image's nor any device's, for its claim
                // says so; nobody writes it.
                start.map(|start| unsafe { core::slice::from_raw_parts(start, module.length as usize) })
            }
        };
        // There is room for as many as the start info keeps.
        let _ = modules.push(bytes);
    }
    modules
}
