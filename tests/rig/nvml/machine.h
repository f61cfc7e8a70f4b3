/* The simulated machine as it stands in memory, and what the API functions need to read it. */
#ifndef MACHINE_H
#define MACHINE_H

#include "nvml_types.h"

#define EXPORT __attribute__((visibility("default")))
#define NO_ID 0xFFFFFFFFu /* NVML's "not available" for instance ids */
#define MIB 1048576ULL

enum { MAX_GPUS = 32, MAX_INSTANCES = 8, MAX_PROCESSES = 64, MAX_FAILURES = 32, MAX_XIDS = 64 };

/* ---- products (models.c) ---- */

/* A MIG profile as geometry: what every product of a family has in common. */
struct shape {
    int number;  /* NVML_GPU_INSTANCE_PROFILE_*: what ...ProfileInfo is asked with */
    int id;      /* nvmlGpuInstanceProfileInfo_t.id: what every other call is asked with */
    int compute; /* compute slices */
    int memory;  /* memory slices */
    int max;     /* instances per GPU */
    const char *suffix;
    int start_count, starts[7];
};
struct engines { int copy, decoders, jpegs, ofas; };
struct amount { int gb, mib, sms; }; /* gb is the number in the profile's name */

struct model {
    const char *key, *name;
    unsigned int pci_id, memory_mib;
    int capability; /* compute capability, times ten */
    int architecture, watts;
    int compute_slices, memory_slices, profile_count;
    const struct shape *shapes; /* these three are parallel */
    const struct amount *amounts;
    const struct engines *engines;
};

const struct model *find_model(const char *key);
int profile_by_id(const struct model *model, unsigned int id);         /* -1: no such profile */
int profile_by_number(const struct model *model, unsigned int number); /* -1: no such profile */
void profile_name(const struct model *model, int profile, char *out, unsigned long size);

/* Compute slices of each NVML_COMPUTE_INSTANCE_PROFILE_*. */
extern const int COMPUTE_SLICES[9];

/* ---- the machine (state.c) ---- */

/* `serial` is different for every instance ever made on the machine: a handle to a destroyed
 * instance stays stale even when one with the same id takes its place. */
struct compute_instance {
    int live, id, profile, start, index;
    unsigned int serial, used_mib;
};
struct gpu_instance {
    int live, id, profile, start;
    unsigned int serial;
    struct compute_instance compute[MAX_INSTANCES];
};
enum process_kind { COMPUTE, GRAPHICS, MPS };
struct process {
    unsigned int pid, used_mib, gi, ci, sm_util;
    enum process_kind kind;
};
struct gpu {
    const struct model *model;
    char uuid[96], pci[32], serial[32], name[96];
    int minor, mig, mig_pending, lost, util, memory_util, temperature, fan;
    unsigned int milliwatts, milliwatts_limit, used_mib, sm_clock, memory_clock;
    struct gpu_instance instances[MAX_INSTANCES];
    struct process processes[MAX_PROCESSES];
    int process_count;
};
struct failure { char function[64]; int gpu, code, microseconds; };
struct xid { int gpu; unsigned int code, gi, ci; unsigned long number; };
struct machine {
    char driver[80], nvml[80];
    int cuda, privileged, fresh_uuids, init_code;
    unsigned int latency_us, init_us, next_serial;
    int gpu_count, failure_count, xid_count;
    struct gpu gpus[MAX_GPUS];
    struct failure failures[MAX_FAILURES];
    struct xid xids[MAX_XIDS];
};

extern struct machine machine;
const char *machine_path(void);
void machine_load(int keep_if_missing); /* reads the file again if it changed */
void machine_save(void);                /* call only while holding the file's lock */

struct gpu_instance *find_instance(struct gpu *gpu, int id);
struct compute_instance *find_compute(struct gpu_instance *instance, int id);

/* ---- calls and handles (core.c) ---- */

struct guard { int locked, lock_file; };
nvmlReturn_t enter(struct guard *guard, const char *function, int writes);
void leave(struct guard *guard);
void pause_us(long microseconds);

/* What a handle stands for: a GPU, or a MIG device, a GPU instance, a compute instance in it. */
struct target {
    int index;
    struct gpu *gpu;
    struct gpu_instance *gi;
    struct compute_instance *ci;
};
enum handle_kind { DEVICE, GPU_INSTANCE, COMPUTE_INSTANCE };
nvmlReturn_t resolve(void *handle, enum handle_kind kind, struct target *out, const char *function);
nvmlReturn_t health(const struct target *target, const char *function);
const struct failure *find_failure(const char *function, int gpu);
void *gpu_handle(int index);
void *instance_handle(int gpu, const struct gpu_instance *gi);
void *compute_handle(enum handle_kind kind, int gpu, const struct gpu_instance *gi,
                     const struct compute_instance *ci);
int mig_devices(int gpu, struct target out[MAX_INSTANCES]); /* gaps have no gpu */
void mig_uuid(const struct target *device, char *out, unsigned long size);
/* Does a process use this part of a GPU? (NULL: any) */
int is_busy(const struct gpu *gpu, const struct gpu_instance *gi,
            const struct compute_instance *ci);
nvmlReturn_t copy_text(char *out, unsigned int size, const char *text);

/* An exported function is declared (real nvml.h does it, too) and defined by this. */
#define NVML_API(name, ...)                                                                        \
    EXPORT nvmlReturn_t name(__VA_ARGS__);                                                         \
    EXPORT nvmlReturn_t name(__VA_ARGS__)

/* Each API function begins with one of these. They take the library's lock until the function
 * returns, read the machine again, and apply latency and failures that the machine orders. */
#define ENTER_(function, writes)                                                                   \
    struct guard guard_ __attribute__((cleanup(leave))) = {0, -1};                                 \
    nvmlReturn_t error = enter(&guard_, function, writes);                                         \
    if (error)                                                                                     \
    return error
#define ENTER() ENTER_(__func__, 0)
#define ENTER_TO_WRITE() ENTER_(__func__, 1)

/* Then one of these, for the function's handle; each defines `at`. */
#define RESOLVE(handle, kind)                                                                      \
    struct target at;                                                                              \
    if ((error = resolve(handle, kind, &at, __func__)))                                   \
    return error
#define ANY_DEVICE(handle) RESOLVE(handle, DEVICE)
#define WHOLE_GPU(handle)                                                                          \
    RESOLVE(handle, DEVICE);                                                                       \
    if (at.gi)                                                                                     \
    return NVML_ERROR_INVALID_ARGUMENT
/* Sensors are those of the board; they cannot be read through a MIG device. */
#define BOARD(handle)                                                                              \
    RESOLVE(handle, DEVICE);                                                                       \
    if (at.gi)                                                                                     \
    return NVML_ERROR_NOT_SUPPORTED

#define NEED(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return NVML_ERROR_INVALID_ARGUMENT;                                                    \
    } while (0)
#define NEED_PRIVILEGE()                                                                           \
    do {                                                                                           \
        if (!machine.privileged)                                                                   \
            return NVML_ERROR_NO_PERMISSION;                                                       \
    } while (0)

#endif
