//! The board in operation: one loop that serves interrupts, lets the network run, then runs a process.
//!
//! The kernel is never preempted. Each pass handles a bounded number of frames, so that a flood cannot keep
//! processes from running, and a process runs with interrupts on, so that it cannot keep the network from running.

use crate::capsules::Capsules;
use crate::machine::{Alarm, NETWORK_CONFIGURATION_VECTOR, NETWORK_VECTOR, UART_VECTOR, now, pending_bit};
use crate::serial::{Serial, Terminal};
use crate::tokens;
use slopos_kernel::process::ProcessSet;
use slopos_kernel::scheduler::Kernel;
use slopos_kernel::time::{Duration, Instant};
use slopos_process_console::{Console as Monitor, Input};
use slopos_virtio::net::Net;
use slopos_x86_64::control::wait_for_interrupt;
use slopos_x86_64::processor::Cpu;
use slopos_x86_64::trap::{TIMER_VECTOR, take_pending};

/// Frames taken in, and frames sent, in one pass.
const FRAMES_PER_PASS: usize = 32;
/// Bytes taken from the console's port in one pass: its FIFO twice.
const KEYS_PER_PASS: usize = 32;
/// How long a process runs while others could.
const TIME_SLICE: Duration = Duration::from_millis(10);
/// How long a broken network device is left alone before it is started again.
const RECOVERY_PAUSE: Duration = Duration::from_millis(100);
/// How long the last frames may take before the board is left.
const FAREWELL: Duration = Duration::from_millis(100);

/// All parts of the running system.
pub struct Board {
    /// Processes and system calls.
    pub kernel: Kernel,
    /// Runs processes.
    pub cpu: Cpu,
    /// What descriptors reach.
    pub capsules: Capsules,
    /// The console's port.
    pub serial: Serial,
    /// The process console.
    pub monitor: Monitor<'static>,
    /// The network device.
    pub network: Option<Net>,
    /// The timer.
    pub alarm: Alarm,
    /// The authority to manage processes.
    pub token: tokens::Console,
    /// The authority over the network device's frames.
    pub wire: tokens::Wire,
    /// When a broken network device is started again.
    pub recovery: Option<Instant>,
}

impl Board {
    /// Runs for ever.
    pub fn run(&mut self) -> ! {
        loop {
            let busy = self.pass();
            let now = now();
            if busy {
                continue;
            }
            self.alarm.set(self.next_deadline(), now);
            // What arrived since the device was last looked at has set an interrupt pending or is seen here.
            if self.network.as_mut().is_some_and(Net::enable_interrupts) {
                continue;
            }
            wait_for_interrupt();
        }
    }

    /// One pass of the loop. Answers whether there may be more to do at once.
    pub fn pass(&mut self) -> bool {
        let pending = take_pending();
        let now = now();
        if pending & pending_bit(TIMER_VECTOR) != 0 {
            self.alarm.rang();
        }
        if pending & pending_bit(UART_VECTOR) != 0 {
            self.serial.acknowledge();
        }
        self.take_keys();
        let frames = self.serve_network(pending, now);
        self.serial.send(&mut self.capsules.console);
        self.wake(now);
        self.restart_due(now);
        self.watch_foreground();
        self.run_monitor(now);

        let slice = (self.kernel.runnable() > 1).then(|| now + TIME_SLICE);
        if self.kernel.runnable() > 0 {
            self.alarm.set([slice, self.next_deadline()].into_iter().flatten().min(), now);
        }
        // A process that only computes must not keep frames waiting: the device is to interrupt it.
        let waiting = self.kernel.runnable() > 0 && self.network.as_mut().is_some_and(Net::enable_interrupts);
        let ran = self.kernel.run_next(&mut self.cpu, &mut self.capsules, crate::machine::now);
        ran || frames || waiting || self.monitor.has_more()
    }

    /// The next moment at which something is to be done even if nothing happens.
    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.capsules.stack.next_deadline().filter(|_| self.network.is_some()),
            self.kernel.next_deadline(),
            self.monitor.next_deadline(),
            self.recovery,
        ];
        deadlines.into_iter().flatten().min()
    }

    fn take_keys(&mut self) {
        for _ in 0..KEYS_PER_PASS {
            if !self.monitor.accepts_input() {
                return;
            }
            let Some(byte) = self.serial.read() else { return };
            let mut terminal = Terminal { console: &mut self.capsules.console, serial: &mut self.serial };
            match self.monitor.input(byte, &mut terminal) {
                Input::Done => {}
                Input::ForProcess(byte) => self.capsules.console.input(byte),
                Input::Interrupt(process) => self.kill(process),
            }
        }
    }

    /// Takes frames in, lets the stack's timers run, and sends what it has. Answers whether a bound was reached.
    fn serve_network(&mut self, pending: u64, now: Instant) -> bool {
        let Some(device) = &mut self.network else { return false };
        let (stack, wire) = (&mut *self.capsules.stack, &self.wire);
        if pending & (pending_bit(NETWORK_VECTOR) | pending_bit(NETWORK_CONFIGURATION_VECTOR)) != 0 {
            device.disable_interrupts();
            let cause = device.acknowledge_interrupt();
            // By message the vector tells, by pin the device.
            let configuration = cause.configuration || pending & pending_bit(NETWORK_CONFIGURATION_VECTOR) != 0;
            if configuration && device.service_configuration() {
                stack.set_link(device.link_up(), now);
            }
        }
        let mut received = 0;
        while received < FRAMES_PER_PASS && device.receive(|frame| stack.receive(frame, now, wire)) {
            received += 1;
        }
        stack.poll(now);
        let mut sent = 0;
        while sent < FRAMES_PER_PASS && device.transmit_with(|buffer| stack.transmit(buffer, now, wire)) {
            sent += 1;
        }
        if received > 0 || sent > 0 {
            device.flush();
        }
        if received == 0 {
            device.watch_transmission(now.as_micros());
        }
        if let Some(broken) = device.is_broken() {
            match self.recovery {
                None => {
                    defmt::error!("virtio-net: broken: {}", broken);
                    self.recovery = Some(now + RECOVERY_PAUSE);
                }
                Some(at) if now >= at => {
                    self.recovery = None;
                    if let Err(error) = device.recover() {
                        defmt::error!("virtio-net: cannot be started again: {}", error);
                    }
                }
                Some(_) => {}
            }
        }
        received == FRAMES_PER_PASS || sent == FRAMES_PER_PASS
    }

    /// Gives the lease back and ends connections, as far as the network takes the frames for that in a moment.
    pub fn leave_network(&mut self) {
        let Some(device) = &mut self.network else { return };
        let (stack, wire, start) = (&mut *self.capsules.stack, &self.wire, now());
        stack.release(start);
        while now() < start + FAREWELL {
            while device.transmit_with(|buffer| stack.transmit(buffer, start, wire)) {}
            device.flush();
            device.reclaim();
            if device.transmitting() == 0 || device.is_broken().is_some() {
                return;
            }
        }
    }

    /// Starts processes again whose back-off has passed.
    fn restart_due(&mut self, now: Instant) {
        while let Some(id) = self.kernel.take_due_restart(now) {
            if let Err(error) = self.launch(id, &[]) {
                defmt::error!("process {=usize} cannot be started again: {}", id.index(), error);
            }
        }
    }

    fn wake(&mut self, now: Instant) {
        self.kernel.wake(self.capsules.stack.take_ready());
        let console = &mut self.capsules.console;
        let (space, input) = (console.take_space_event(), console.take_input_event());
        if space || input {
            self.kernel.wake(ProcessSet::ALL);
        }
        self.kernel.wake_expired(now);
    }

    fn run_monitor(&mut self, now: Instant) {
        let ready = self.network.is_none() || self.capsules.stack.is_up();
        self.monitor.network_ready(ready, now);
        let mut terminal = Terminal { console: &mut self.capsules.console, serial: &mut self.serial };
        if let Some(line) = self.monitor.next(now, &mut terminal) {
            self.carry_out(&line);
        }
    }
}
