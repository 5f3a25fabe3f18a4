/* Counts how often QEMU carries out each instruction of the guest.
 *
 * QEMU calls a plugin when it translates a block of guest code; the plugin asks it to add 1 to a counter of ours in
 * front of each instruction, which the translated code then does by itself, without leaving it. At QEMU's exit the
 * counters are written to a file, one line for each address: the address in hexadecimal, how often it was carried
 * out, and how many instructions in all had been carried out before it was first seen.
 *
 *     -plugin count.so,out=FILE[,halts=SOCKET]
 *
 * With a datagram socket it also sends a byte to it whenever the processor is about to wait for an interrupt, which
 * tells a peer that what it sends now finds nothing else going on.
 *
 * A counter belongs to an address, so code that replaces other code, or another process's code at the same
 * address, shares it. Each round of a repeated string instruction counts, as it does for -icount.
 *
 * Debian's QEMU brings no header for plugins, so what is used of the interface (version 1, of QEMU 4.2 to 8) is
 * declared here, after docs/devel/tcg-plugins of QEMU's manual.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

/* What a callback may do with registers; ours need none. */
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

/* What inline code can do; in version 1 this alone. */
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

/* What QEMU tells when it loads a plugin. Only the processor count is of interest here. */
typedef struct {
    const char *target_name;
    struct {
        int min;
        int cur;
    } version;
    bool system_emulation;
    union {
        struct {
            int smp_vcpus;
            int max_vcpus;
        } system;
    };
} qemu_info_t;

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*translated)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, enum qemu_plugin_op op, void *counter,
                                                uint64_t addend);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*executed)(unsigned int vcpu, void *user_data),
                                            enum qemu_plugin_cb_flags flags, void *user_data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*ended)(qemu_plugin_id_t, void *), void *user_data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv);

/* One address. Translated code holds pointers to `count`, so a counter never moves. */
struct counter {
    uint64_t address;
    uint64_t count;
    uint64_t before;
};

/* Counters come in slabs; `slots` finds them by address, with open addressing. */
enum { SLAB = 4096, SLABS = 1024, SLOTS = 1 << 23 };
static struct counter *slabs[SLABS];
static size_t counters;
static struct counter **slots;
static FILE *output;

/* x86's instruction that waits for an interrupt, and the socket that hears of it; -1 for none. */
static const uint8_t HLT = 0xf4;
static int halts = -1;

static void fail(const char *what)
{
    fprintf(stderr, "count: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static struct counter *counter_number(size_t index)
{
    return &slabs[index / SLAB][index % SLAB];
}

static uint64_t total(void)
{
    uint64_t sum = 0;
    for (size_t index = 0; index < counters; index++) {
        sum += counter_number(index)->count;
    }
    return sum;
}

/* The counter of an address, and whether it is new. The table is twice as large as there can be counters, so a
 * free slot is always found. */
static struct counter *counter_of(uint64_t address, bool *is_new)
{
    size_t slot = (address * UINT64_C(0x9e3779b97f4a7c15)) >> 41;
    for (;; slot = (slot + 1) % SLOTS) {
        struct counter *counter = slots[slot];
        if (counter == NULL) {
            break;
        }
        if (counter->address == address) {
            *is_new = false;
            return counter;
        }
    }
    if (counters == (size_t)SLAB * SLABS) {
        errno = ENOMEM;
        fail("more addresses than there are counters");
    }
    if (counters % SLAB == 0) {
        slabs[counters / SLAB] = calloc(SLAB, sizeof(struct counter));
        if (slabs[counters / SLAB] == NULL) {
            fail("counters");
        }
    }
    slots[slot] = counter_number(counters++);
    slots[slot]->address = address;
    *is_new = true;
    return slots[slot];
}

/* Runs right before the processor waits. A full socket has halts in it that nobody has read yet, so another one would
 * say nothing new; a peer that has left needs none. */
static void halting(unsigned int vcpu, void *user_data)
{
    (void)vcpu;
    (void)user_data;
    (void)!send(halts, "h", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void connect_halts(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        fail(path);
    }
    strcpy(address.sun_path, path);
    halts = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (halts < 0 || connect(halts, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        fail(path);
    }
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    bool summed = false;
    uint64_t before = 0;
    for (size_t index = 0; index < qemu_plugin_tb_n_insns(block); index++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, index);
        bool is_new;
        struct counter *counter = counter_of(qemu_plugin_insn_vaddr(insn), &is_new);
        if (is_new) {
            /* A block is translated right before it runs for the first time. */
            if (!summed) {
                before = total();
                summed = true;
            }
            counter->before = before + index;
        }
        qemu_plugin_register_vcpu_insn_exec_inline(insn, QEMU_PLUGIN_INLINE_ADD_U64, &counter->count, 1);
        if (halts >= 0 && qemu_plugin_insn_size(insn) == 1 && *(const uint8_t *)qemu_plugin_insn_data(insn) == HLT) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, halting, QEMU_PLUGIN_CB_NO_REGS, NULL);
        }
    }
}

static void ended(qemu_plugin_id_t id, void *user_data)
{
    (void)id;
    (void)user_data;
    for (size_t index = 0; index < counters; index++) {
        const struct counter *counter = counter_number(index);
        if (counter->count != 0) {
            fprintf(output, "%" PRIx64 " %" PRIu64 " %" PRIu64 "\n", counter->address, counter->count,
                    counter->before);
        }
    }
    /* The last line tells a complete file from one that was cut off. */
    fprintf(output, "end %" PRIu64 "\n", total());
    if (ferror(output) != 0 || fclose(output) != 0) {
        fail("writing the counts");
    }
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    if (info->system_emulation && info->system.smp_vcpus != 1) {
        fprintf(stderr, "count: the counters are for one processor\n");
        return -1;
    }
    for (int index = 0; index < argc; index++) {
        if (strncmp(argv[index], "halts=", 6) == 0) {
            connect_halts(argv[index] + 6);
            continue;
        }
        if (strncmp(argv[index], "out=", 4) != 0) {
            fprintf(stderr, "count: unknown argument %s\n", argv[index]);
            return -1;
        }
        output = fopen(argv[index] + 4, "w");
        if (output == NULL) {
            fail(argv[index] + 4);
        }
    }
    if (output == NULL) {
        fprintf(stderr, "count: out=FILE is missing\n");
        return -1;
    }
    slots = calloc(SLOTS, sizeof(struct counter *));
    if (slots == NULL) {
        fail("counters");
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
