//! From the loader's 32-bit entry to Rust code in the higher half.
//!
//! QEMU finds the entry by the PVH note (the Xen "x86/HVM direct boot ABI", note type 18) and jumps there in
//! 32-bit protected mode without paging, `ebx` pointing to the start info. GRUB finds a second one by the Multiboot2
//! header (Multiboot2 Specification 2.0, sections 3.1 and 3.3): the same state of the machine, with the specification's
//! magic number in `eax` and its own information at `ebx`. The code below builds temporary page
//! tables that map the first 4 GiB twice: where they are, so that the start info and the ACPI tables can be read,
//! and at [`KERNEL_BASE`](crate::paging::KERNEL_BASE). [`crate::paging`] replaces them by the real ones.
//!
//! Statics that begin as zeros are in no file, and a loader clears them. A reset does not: QEMU then puts back what is in
//! the file and no more. A word tells that the kernel has run since it was loaded, and it clears them itself.
//!
//! The linker script defines `__kernel_stack_top`, `__zeros_start` and `__zeros_end` (physical addresses), places `.boot` at its physical address and `.multiboot2` within the
//! first 32 KiB of the file; the board defines `kernel_main`, which takes the information's address and the number that
//! tells which kind it is: 0 for PVH, or `eax`.

// A program of the host that reads a loader's structures with this crate has another entry, and is linked elsewhere.
#[cfg(target_os = "none")]
core::arch::global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4
    .long 4
    .long 18
    .asciz "Xen"
    .long pvh_start

    .section .multiboot2, "a", @progbits
    .balign 8
multiboot2_header:
    // Magic, architecture (i386), length, and what makes the sum of the four zero.
    .long 0xe85250d6
    .long 0
    .long multiboot2_header_end - multiboot2_header
    .long 0x17adaf2a - (multiboot2_header_end - multiboot2_header)
    // The entry's address: that of the ELF is for PVH.
    .short 3, 0
    .long 12
    .long multiboot2_start
    .balign 8
    // Modules begin on pages.
    .short 6, 0
    .long 8
    // No more tags.
    .short 0, 0
    .long 8
multiboot2_header_end:

    .section .boot.text, "ax", @progbits
    .code32
multiboot2_start:
    mov ebp, eax
    jmp 1f
    .globl pvh_start
pvh_start:
    xor ebp, ebp
1:  cli
    cld
    mov esi, ebx

    // "RUN!"; a loader leaves a zero there.
    mov eax, 0x214e5552
    cmp [boot_has_run], eax
    mov [boot_has_run], eax
    jne 3f
    mov edi, offset __zeros_start
    mov ecx, offset __zeros_end
    sub ecx, edi
    shr ecx, 2
    xor eax, eax
    rep stosd
3:

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
    mov edi, esi
    mov esi, ebp
    xor ebp, ebp
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
boot_has_run:
    .skip 4

    .text
    "#
);
