# A board as a Nomad job, by the driver `qemu`. doc/fleet.md says what it needs and what was tried.
job "slopos" {
  type = "service"

  group "boards" {
    count = 1

    task "slopos" {
      driver = "qemu"

      config {
        # The flash. Its folder has to be among the driver's `image_paths`.
        image_path        = "/var/lib/slopos/qemu_q35.img"
        drive_interface   = "virtio"
        accelerator       = "tcg"
        # `nomad job stop` presses ACPI's power button.
        graceful_shutdown = true

        args = [
          "-kernel", "/var/lib/slopos/qemu_q35.elf",
          "-append", "webget http://10.0.2.2:8000/",
          "-cpu", "max",
          "-no-reboot",
          "-netdev", "user,id=net0",
          "-device", "virtio-net-pci,netdev=net0",
          # COM1 is the task's standard output, COM2 the kernel's log, for `run --decode`.
          "-serial", "stdio",
          "-serial", "file:slopos.log",
        ]
      }

      # The least that the driver takes; the board needs 16 MiB of it.
      resources {
        memory = 128
      }

      # Longer than a look at the power button and the last frames take.
      kill_timeout = "10s"
    }
  }
}
