#!/bin/sh
# A board in Cloud Hypervisor. doc/fleet.md says what it needs and what was tried.
exec cloud-hypervisor \
    --cpus boot=1 \
    --memory size=64M \
    --kernel /var/lib/slopos/qemu_q35.elf \
    --cmdline 'webget http://192.168.249.1:8000/; exit' \
    --disk path=/var/lib/slopos/qemu_q35.img \
    --net tap=slopos0,mac=52:54:00:12:34:56 \
    --rng src=/dev/urandom \
    --serial tty \
    --console off
