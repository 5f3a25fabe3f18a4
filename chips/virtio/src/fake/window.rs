//! The registers of the model in a window of memory (section 4.2.2).

use super::{Event, Fake, QueueRegisters, State};
use crate::transport::{Window, WindowProbe, WindowProbeError};

/// Where the window is.
pub const WINDOW: usize = 0xff00_0000;
/// Its length: the registers, and as much configuration as the model has.
const LENGTH: u64 = 0x140;

impl Fake {
    /// A device of this type (section 5) behind a window.
    pub fn window(kind: u32) -> &'static Fake {
        let fake = Fake::new(0, false, false);
        fake.state().window = Some([0x7472_6976, 2, kind]);
        fake
    }

    /// What a driver finds in the window.
    pub fn probe_window(&'static self) -> Result<Option<WindowProbe<&'static Fake>>, WindowProbeError> {
        let window = Window::new(WINDOW as u64, LENGTH, 7).unwrap();
        // SAFETY: the bus is a model in this process's memory.
        unsafe { WindowProbe::new(self, WINDOW, &window) }
    }
}

impl State {
    pub fn read_window(&mut self, offset: usize, width: usize) -> u32 {
        if offset >= 0x100 {
            return self.read_configuration(offset - 0x100, width);
        }
        assert_eq!(width, 4, "section 4.2.2.2: the registers are read whole");
        let queue: Option<QueueRegisters> = self.queue();
        let named = self.window.unwrap_or_default();
        match offset {
            0x000 | 0x004 | 0x008 => named[offset / 4],
            0x010 => (self.offered >> (32 * self.selects[0])) as u32,
            0x034 => queue.map_or(0, |queue| queue.max.into()),
            0x044 => queue.map_or(0, |queue| queue.enabled.into()),
            0x060 => self.isr.into(),
            0x070 => self.read_status(),
            0x0fc => self.read_generation(),
            _ => panic!("read of the window at {offset:#x}"),
        }
    }

    pub fn write_window(&mut self, offset: usize, width: usize, value: u32) {
        assert_eq!(width, 4, "section 4.2.2.2: the registers are written whole");
        let selected = self.selected;
        let queue = &mut self.queues[usize::from(selected).min(2)];
        let side = &mut queue.side;
        let (low, high) = (u64::from(value), u64::from(value) << 32);
        match offset {
            0x014 => self.selects[0] = value,
            0x020 => self.accepted |= low << (32 * self.selects[1]),
            0x024 => self.selects[1] = value,
            0x030 => self.selected = value as u16,
            0x038 => side.size = value as u16,
            0x044 => {
                assert_eq!(value, 1);
                queue.enabled = true;
                self.events.push(Event::Queue(selected));
            }
            0x050 => self.notified(value as u16),
            0x064 => self.isr &= !(value as u8),
            0x070 => self.set_status(value as u8),
            0x080 => side.descriptors = low,
            0x084 => side.descriptors |= high,
            0x090 => side.available = low,
            0x094 => side.available |= high,
            0x0a0 => side.used = low,
            0x0a4 => side.used |= high,
            _ => panic!("write of the window at {offset:#x}"),
        }
    }
}
