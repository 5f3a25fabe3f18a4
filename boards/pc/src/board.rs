//! The board in operation: one loop that serves interrupts, lets the network run, then runs a process.
//!
//! The kernel is never preempted. Each pass handles a bounded number of frames, so that a flood cannot keep
//! processes from running, and a process runs with interrupts on, so that it cannot keep the network from running.

use crate::capsules::Capsules;
use crate::interrupts::LOG_VECTOR;
use crate::interrupts::{Interrupts, NETWORK_CONFIGURATION_VECTOR, NETWORK_VECTOR, PIN_VECTOR, UART_VECTOR};
use crate::log;
use crate::machine::{Alarm, now};
use crate::power::Button;
use crate::progress::{Boot, Report, Shutdown};
use crate::seed::Seed;
use crate::serial::{Serial, Terminal};
use crate::statics::COMMANDS;
use crate::tokens::{ConsoleAuthority, FrameAuthority};
use crate::watchdog::Keeper;
use slopos_kernel::kernel::Kernel;
use slopos_kernel::pacing::{FRAMES_PER_PASS, Pacing};
use slopos_kernel::process::ProcessId;
use slopos_kernel::scheduler::Step;
use slopos_kernel::time::{Duration, Instant};
use slopos_net::MacAddress;
use slopos_process_console::{Input, ProcessConsole, ReportKind, Way};
use slopos_q35::uart::FIFO_BYTES;
use slopos_q35::watchdog::TIMEOUT_MIN_MS;
use slopos_virtio::net::{Net, Tended};
use slopos_x86_64::control::{let_interrupts_in, wait_for_interrupt};
use slopos_x86_64::processor::Cpu;
use slopos_x86_64::trap::{TIMER_VECTOR, has_pending, pending_bit, take_pending};

/// Bytes taken from the console's port in one pass.
const KEYS_PER_PASS: usize = 2 * FIFO_BYTES;
/// How often the loop looks after the watchdog and the time of day: a little less than its longest sleep, so that each
/// one ends with a look, and a third of the watchdog's shortest timeout.
const LOOK: Duration = Duration::from_millis(950);
const _: () = assert!(3 * LOOK.as_millis() < TIMEOUT_MIN_MS as u64);
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
    pub process_console: ProcessConsole<'static>,
    /// The network device.
    pub network: Option<Net>,
    /// The timer.
    pub alarm: Alarm,
    /// The power button: pressed, it switches the board off as the command `poweroff` does.
    pub button: Button,
    /// The interrupt lines, and those that nobody expects.
    pub interrupts: Interrupts,
    /// What allows the console's commands and reports.
    pub console_authority: ConsoleAuthority,
    /// What allows frames to pass between the network device and the stack.
    pub frame_authority: FrameAuthority,
    /// The report that a command prints, until all of it is printed.
    pub report: Option<Report>,
    /// The shutdown, once it has begun.
    pub shutdown: Option<Shutdown>,
    /// The sources of the seed for the network's secrets.
    pub seed: Seed,
    /// The watchdog, where the manifest wants one.
    pub watchdog: Option<Keeper>,
    /// When to look after it and the time of day next.
    pub look_at: Instant,
    /// Whether the boot is still underway: apps are loaded, secrets drawn.
    pub booting: bool,
    /// How far the loading of apps has come.
    pub boot: Boot,
    /// The process that was started in the background and is still being loaded.
    pub background_start: Option<ProcessId>,
    /// Decides when the network device is polled and how long processes run.
    pub pacing: Pacing,
    /// The next deadline of what seldom has one: the boot, a storm, a request of the flash, the shutdown.
    pub seldom_due: Option<Instant>,
}

impl Board {
    /// Runs for ever.
    pub fn run(&mut self) -> ! {
        self.start_at_boot();
        loop {
            if !self.pass() {
                self.sleep();
            }
        }
    }

    /// Sleeps until the next interrupt, unless there is work already.
    fn sleep(&mut self) {
        self.alarm.set(self.next_deadline(), now());
        // A frame that arrived since the last look has either set an interrupt pending or is seen here.
        if !self.network.as_mut().is_some_and(Net::enable_interrupts) {
            wait_for_interrupt();
        }
    }

    /// One pass of the loop. Answers whether there may be more to do at once.
    ///
    /// Inlined, it would be there several times: the compiler unrolls the loop around it.
    #[inline(never)]
    pub fn pass(&mut self) -> bool {
        if self.kernel.take_load_step() {
            // No process ran, so no interrupt could be taken.
            let_interrupts_in();
        }
        let now = now();
        if self.capsules.copies.is_other_generation() {
            self.capsules.renew_secrets_of_copy(now);
        }
        let arrived = take_pending();
        let pending = arrived | self.interrupts.due_for_polling(now);
        self.serve_ports(pending);
        if pending & pending_bit(TIMER_VECTOR) != 0 && self.button.is_pressed(now) && self.shutdown.is_none() {
            defmt::info!("power: the button was pressed, switching off");
            self.begin_shutdown(Way::PowerOff, now);
        }
        if self.shutdown.is_some() {
            // The state of the flash may still have to be written.
            self.capsules.flash.step(arrived, pending, &mut self.kernel, &mut self.cpu, now);
            self.continue_shutdown(now);
            self.find_seldom_due();
            self.look_around(now);
            return false;
        }
        self.take_keys(now);
        let claimed = self.claim_network_interrupt(pending, now);
        let flash = self.capsules.flash.step(arrived, pending, &mut self.kernel, &mut self.cpu, now);
        let entropy = self.capsules.entropy.step(arrived, pending, &mut self.kernel, now);
        let received = self.receive_frames(now);
        let claimed = claimed || flash.line || entropy.line;
        let idle = u32::from(flash.idle_message) + u32::from(entropy.idle_message);
        self.guard_interrupts(arrived, claimed, received, idle, now);
        self.capsules.stack.poll(now);
        self.wake(now);
        let mut sent = 0;
        if self.pacing.sends_first(self.kernel.next_is_woken()) {
            sent = self.send_frames(now);
        }
        self.pacing.note_frames(received + sent, now);
        let ran = self.run_processes();
        self.restart_due(now);
        if self.booting {
            self.load_next();
        }
        self.watch_foreground();
        self.run_process_console(now);
        self.continue_report();
        log::send();
        self.serial.send(&mut self.capsules.console);
        if ran.is_some() || self.capsules.stack.take_output() {
            sent += self.send_frames(ran.unwrap_or(now));
            self.pacing.note_frames(sent, now);
        }
        self.tend_network(received, now);
        if self.booting {
            self.draw_seed(now);
            self.booting = !self.boot.is_done() || !self.seed.is_settled();
        }
        self.find_seldom_due();
        // What was ready had its turn; a pass that does not come to this place, or did not let it, is no progress.
        if now >= self.look_at && (ran.is_some() || self.kernel.runnable() == 0) {
            self.look_around(now);
        }
        let goes_on = ran.is_some()
            || self.kernel.runnable() > 0
            || self.capsules.console.has_ready(log::text_room)
            || self.report_can_go_on();
        goes_on || received == FRAMES_PER_PASS || sent >= FRAMES_PER_PASS || self.commands_wait()
    }

    /// What is done once in a second or so: the watchdog learns that the loop makes progress, and the time of day tells
    /// whether this is a copy of a machine.
    #[inline(never)]
    fn look_around(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK;
        if let Some(watchdog) = &self.watchdog {
            watchdog.feed();
        }
        self.capsules.renew_secrets_of_copy(now);
    }

    /// Serves the serial ports that interrupted, and all of them when the timer fires, in case an interrupt was lost.
    fn serve_ports(&mut self, pending: u32) {
        let timer = pending & pending_bit(TIMER_VECTOR) != 0;
        if timer {
            self.alarm.fired();
        }
        if timer || pending & pending_bit(UART_VECTOR) != 0 {
            self.serial.acknowledge();
            self.serial.send(&mut self.capsules.console);
        }
        if timer || pending & pending_bit(LOG_VECTOR) != 0 {
            log::acknowledge();
        }
    }

    /// The next deadline of what seldom has one. It is looked up once in a pass, because a look at each change of
    /// process would cost too much.
    fn find_seldom_due(&mut self) {
        let idle = self.capsules.flash.is_idle() && self.capsules.entropy.is_idle();
        let usual = !self.booting && self.shutdown.is_none() && idle;
        if usual && self.interrupts.is_calm() {
            self.seldom_due = None;
            return;
        }
        let deadlines = [
            self.interrupts.next_deadline(),
            self.shutdown.as_ref().map(Shutdown::next_deadline),
            self.seed.next_deadline(),
            self.capsules.flash.next_deadline(),
            self.capsules.entropy.next_deadline(),
            self.apps_deadline(),
        ];
        self.seldom_due = deadlines.into_iter().flatten().min();
    }

    /// Lets processes run until none can, one has given the network something to send, an interrupt comes, or
    /// [`Stay`](slopos_kernel::pacing::Stay) ends it. Returns the time, if one ran.
    fn run_processes(&mut self) -> Option<Instant> {
        if self.kernel.runnable() == 0 {
            return None;
        }
        let start = now();
        let network = &mut self.network;
        let arm = || network.as_mut().is_some_and(Net::enable_interrupts);
        let stay = self.pacing.begin_stay(self.kernel.next_is_woken(), start, arm);
        self.set_alarm_for_process(stay.interrupt_at(), start);
        let mut time = start;
        loop {
            let (step, end) = self.kernel.run_next(&mut self.cpu, &mut self.capsules, time, now);
            time = end;
            let idle = self.kernel.runnable() == 0;
            let over = stay.is_over(step, self.kernel.next_is_woken(), time);
            if idle || over || has_pending() || self.capsules.stack.take_output() {
                return Some(time);
            }
            if step == Step::Yielded {
                time = now();
                self.set_alarm_for_process(stay.interrupt_at(), time);
            }
        }
    }

    /// Sets the timer to interrupt the next process when its slice ends or something else is due.
    fn set_alarm_for_process(&mut self, interrupt_at: Option<Instant>, now: Instant) {
        let slice = self.kernel.slice().map(|slice| now + slice);
        let deadlines = [slice, interrupt_at, self.next_deadline()];
        self.alarm.set(deadlines.into_iter().flatten().min(), now);
    }

    /// The next moment at which there is work even if nothing happens.
    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.capsules.stack.next_deadline().filter(|_| self.network.is_some()),
            self.kernel.next_deadline(),
            self.process_console.next_deadline(),
            self.network.as_ref().and_then(Net::due_us).map(Instant::from_micros),
            self.seldom_due,
        ];
        deadlines.into_iter().flatten().min()
    }

    fn take_keys(&mut self, now: Instant) {
        for _ in 0..KEYS_PER_PASS {
            if !self.process_console.accepts_input() {
                return;
            }
            let Some(byte) = self.serial.read() else { return };
            let mut terminal = Terminal(&mut self.capsules.console);
            match self.process_console.input(byte, &mut terminal) {
                Input::Done => {}
                Input::ForProcess(byte) => self.capsules.console.input(byte, now),
                Input::Interrupt(process) => self.kill(process),
                Input::ListChoices => self.report = Some(Report::new(ReportKind::Choices)),
            }
        }
    }

    /// Asks the network device why it interrupted, if it did. Returns whether this device held the shared line.
    fn claim_network_interrupt(&mut self, pending: u32, now: Instant) -> bool {
        let Some(device) = &mut self.network else { return false };
        let message = pending & (pending_bit(NETWORK_VECTOR) | pending_bit(NETWORK_CONFIGURATION_VECTOR)) != 0;
        let pin = pending & pending_bit(PIN_VECTOR) != 0 && device.interrupt_gsi().is_some();
        if !message && !pin {
            return false;
        }
        device.disable_interrupts();
        let cause = device.acknowledge_interrupt();
        // With messages the vector says why; with a pin the device has to be asked.
        let configuration = cause.configuration || pending & pending_bit(NETWORK_CONFIGURATION_VECTOR) != 0;
        if configuration && device.service_configuration() {
            let up = device.link_up() && self.seed.is_settled();
            self.capsules.stack.set_link(up, now);
        }
        pin && (cause.queues || cause.configuration)
    }

    /// Counts interrupts that had no reason. `idle` is how many messages of other devices than the network had none.
    fn guard_interrupts(&mut self, arrived: u32, claimed: bool, received: usize, idle: u32, now: Instant) {
        let came = |vector| arrived & pending_bit(vector) != 0;
        let idle_messages = (came(NETWORK_VECTOR) || came(NETWORK_CONFIGURATION_VECTOR)) && received == 0;
        let idle_lines = came(PIN_VECTOR) && !claimed;
        let idle_messages = u32::from(idle_messages) + idle;
        self.interrupts.guard(idle_messages, idle_lines.into(), self.alarm.apic(), now);
    }

    /// Gives received frames to the stack; returns how many.
    pub fn receive_frames(&mut self, now: Instant) -> usize {
        let Some(device) = &mut self.network else { return 0 };
        let (stack, authority) = (&mut *self.capsules.stack, &self.frame_authority);
        let (kernel, cpu) = (&mut self.kernel, &mut self.cpu);
        let mut readers = kernel.readers(cpu, authority);
        let mut received = 0;
        while received < FRAMES_PER_PASS && device.receive(|frame| stack.receive(frame, now, &mut readers, authority)) {
            received += 1;
        }
        received
    }

    /// Sends what the stack has; returns how many frames. Also gives emptied receive buffers back to the device.
    pub fn send_frames(&mut self, now: Instant) -> usize {
        let Some(device) = &mut self.network else { return 0 };
        let (stack, authority) = (&mut *self.capsules.stack, &self.frame_authority);
        let mut sent = 0;
        while sent < FRAMES_PER_PASS && device.transmit_with(|buffer| stack.transmit(buffer, now, authority)) {
            sent += 1;
        }
        device.flush();
        sent
    }

    /// Resets and restarts a network device that has stopped working. A device that brings frames is not checked.
    fn tend_network(&mut self, received: usize, now: Instant) {
        let Some(device) = &mut self.network else { return };
        if !device.needs_tending(received == 0, now.as_micros()) {
            return;
        }
        match device.tend(received == 0, now.as_micros()) {
            Tended::Same => return,
            Tended::Lost => self.capsules.stack.set_link(false, now),
            Tended::Back => {
                self.capsules.stack.set_mac(MacAddress(device.mac()));
                self.capsules.stack.set_mtu(device.mtu());
                let up = device.link_up() && self.seed.is_settled();
                self.capsules.stack.set_link(up, now);
            }
        }
        self.capsules.has_network_device = !device.is_hopeless();
    }

    /// Starts processes again whose back-off has passed.
    fn restart_due(&mut self, now: Instant) {
        while let Some(id) = self.kernel.take_due_restart(now) {
            if let Err(error) = self.launch(id, core::iter::empty()) {
                defmt::error!("process {=usize} cannot be started again: {}", id.index(), error);
            }
        }
    }

    fn wake(&mut self, now: Instant) {
        self.kernel.wake(self.capsules.stack.take_ready());
        self.kernel.wake(self.capsules.console.take_ready(log::text_room));
        if COMMANDS {
            self.kernel.wake(self.capsules.requests.take_ready());
        }
        self.kernel.wake_expired(now);
    }

    fn run_process_console(&mut self, now: Instant) {
        let absent = self.network.as_ref().is_none_or(Net::is_hopeless);
        let ready = self.apps_ready(now) && (absent || self.capsules.stack.is_up());
        self.process_console.network_ready(ready, now);
        let mut terminal = Terminal(&mut self.capsules.console);
        if let Some(command) = self.process_console.next(now, &mut terminal, &mut self.capsules.requests) {
            self.carry_out(&command);
            self.process_console.give_back(command, &mut self.capsules.requests);
        }
    }

    /// Whether there is a command to carry out at once, or a process to be told how its command ended.
    fn commands_wait(&self) -> bool {
        let requests = &self.capsules.requests;
        self.process_console.has_more(requests) || COMMANDS && requests.has_ready()
    }
}
