//! From the loader's 32-bit entry to Rust code in the higher half.
//!
//! QEMU finds the entry by the PVH note (the Xen "x86/HVM direct boot ABI", note type 18) and jumps there in
//! 32-bit protected mode without paging, `ebx` pointing to the start info. The code below builds temporary page
//! tables that map the first 4 GiB twice: where they are, so that the start info and the ACPI tables can be read,
//! and at [`KERNEL_BASE`](crate::paging::KERNEL_BASE). [`crate::paging`] replaces them by the real ones.
//!
//! The linker script defines `__kernel_stack_top` and places `.boot` at its physical address; the board defines
//! `kernel_main`.

use core::arch::global_asm;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4
    .long 4
    .long 18
    .asciz "Xen"
    .long pvh_start

    .section .boot.text, "ax", @progbits
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld
    mov esi, ebx

    // The first 4 GiB in pages of 2 MiB: present, writable, large.
    mov edi, offset boot_directories
    mov eax, 0x83
    mov ecx, 2048
2:  mov [edi], eax
    mov dword ptr [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 2b

    mov eax, offset boot_directories + 3
    mov [boot_pointers_low], eax
    mov [boot_pointers_high + 510 * 8], eax
    add eax, 0x1000
    mov [boot_pointers_low + 8], eax
    add eax, 0x1000
    mov [boot_pointers_low + 16], eax
    add eax, 0x1000
    mov [boot_pointers_low + 24], eax
    mov eax, offset boot_pointers_low + 3
    mov [boot_map], eax
    mov eax, offset boot_pointers_high + 3
    mov [boot_map + 511 * 8], eax

    // CR4.PAE; EFER.LME and NXE; CR0.PG, WP and PE (Intel SDM volume 3, section 10.8.5).
    mov eax, 0x20
    mov cr4, eax
    mov eax, offset boot_map
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x900
    wrmsr
    mov eax, 0x80010001
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    // A far jump, as bytes: the assembler has no operand for it that the linker could fill in.
    .byte 0xea
    .long long_mode
    .word 0x08

    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff
    .quad 0x00cf92000000ffff
boot_gdt_pointer:
    .word 23
    .long boot_gdt

    .code64
long_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    movabs rsp, offset __kernel_stack_top
    xor ebp, ebp
    mov edi, esi
    movabs rax, offset kernel_main
    call rax
    ud2

    .section .boot.bss, "aw", @nobits
    .balign 4096
boot_map:
    .skip 4096
boot_pointers_low:
    .skip 4096
boot_pointers_high:
    .skip 4096
boot_directories:
    .skip 4 * 4096

    .text
    "#
);
