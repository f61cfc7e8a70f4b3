/* What every call shares: the lock, latency and failures, handles and what they stand for. */
#define _GNU_SOURCE
#include "machine.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { MAX_HANDLES = 4096 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int initialized;
static unsigned long calls;

/* Not NVML: how many NVML calls this process has made, for tests of economy. */
EXPORT unsigned long fakenvml_calls(void);
EXPORT unsigned long fakenvml_calls(void)
{
    return calls;
}

void pause_us(long microseconds)
{
    if (microseconds > 0) {
        struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
        nanosleep(&time, NULL);
    }
}

const struct failure *find_failure(const char *function, int gpu)
{
    for (int i = 0; i < machine.failure_count; i++) {
        const struct failure *failure = &machine.failures[i];
        int named = !strcmp(failure->function, "*") || !strcmp(failure->function, function);
        if (named && failure->gpu == gpu)
            return failure;
    }
    return NULL;
}

/* ---- entering and leaving ---- */

nvmlReturn_t enter(struct guard *guard, const char *function, int writes)
{
    pthread_mutex_lock(&mutex);
    guard->locked = 1;
    calls++;
    if (writes) {
        /* The same lock that machine.py takes; closing the file gives it back. */
        char path[4096];
        snprintf(path, sizeof path, "%s.lock", machine_path());
        guard->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (guard->lock_file >= 0)
            flock(guard->lock_file, LOCK_EX);
    }
    machine_load(initialized);
    const struct failure *failure = find_failure(function, -1);
    nvmlReturn_t code = failure ? failure->code : 0;
    long delay = machine.latency_us + (failure ? failure->microseconds : 0);
    if (delay) { /* slow calls of several threads are slow side by side */
        pthread_mutex_unlock(&mutex);
        pause_us(delay);
        pthread_mutex_lock(&mutex);
    }
    return initialized > 0 ? code : NVML_ERROR_UNINITIALIZED;
}

void leave(struct guard *guard)
{
    if (guard->lock_file >= 0)
        close(guard->lock_file);
    if (guard->locked)
        pthread_mutex_unlock(&mutex);
}

NVML_API(nvmlInitWithFlags, unsigned int flags)
{
    (void)flags;
    pthread_mutex_lock(&mutex);
    calls++;
    machine_load(initialized);
    const struct failure *failure = find_failure(__func__, -1);
    nvmlReturn_t code = failure && failure->code ? (nvmlReturn_t)failure->code
                                                 : (nvmlReturn_t)machine.init_code;
    long delay = machine.init_us + (failure ? failure->microseconds : 0);
    if (!code)
        initialized++;
    pthread_mutex_unlock(&mutex);
    pause_us(delay);
    return code;
}

NVML_API(nvmlInit_v2, void)
{
    return nvmlInitWithFlags(0);
}

NVML_API(nvmlShutdown, void)
{
    ENTER();
    initialized--;
    return NVML_SUCCESS;
}

/* ---- handles ---- */

/* The address of an element is the handle. A GPU's handle is good for ever, as the real one's. */
static char gpus[MAX_GPUS];
static struct handle {
    enum handle_kind kind; /* DEVICE: a MIG device */
    int gpu, gi, ci;
    unsigned int serial;
} handles[MAX_HANDLES];
static int handle_count;

void *gpu_handle(int index)
{
    return &gpus[index];
}

static void *get_handle(struct handle wanted)
{
    for (int i = 0; i < handle_count; i++) {
        const struct handle *have = &handles[i];
        if (have->kind == wanted.kind && have->gpu == wanted.gpu && have->gi == wanted.gi &&
            have->ci == wanted.ci && have->serial == wanted.serial)
            return &handles[i];
    }
    if (handle_count == MAX_HANDLES)
        handle_count = 0; /* NVML may give out the handles of destroyed instances again */
    handles[handle_count] = wanted;
    return &handles[handle_count++];
}

void *instance_handle(int gpu, const struct gpu_instance *gi)
{
    return get_handle((struct handle){GPU_INSTANCE, gpu, gi->id, 0, gi->serial});
}

void *compute_handle(enum handle_kind kind, int gpu, const struct gpu_instance *gi,
                     const struct compute_instance *ci)
{
    return get_handle((struct handle){kind, gpu, gi->id, ci->id, ci->serial});
}

nvmlReturn_t health(const struct target *target, const char *function)
{
    if (target->gpu->lost)
        return NVML_ERROR_GPU_IS_LOST;
    const struct failure *failure = find_failure(function, target->index);
    if (!failure)
        return NVML_SUCCESS;
    pause_us(failure->microseconds);
    return failure->code;
}

nvmlReturn_t resolve(void *pointer, enum handle_kind kind, struct target *out, const char *function)
{
    memset(out, 0, sizeof *out);
    char *byte = pointer;
    if (byte >= gpus && byte < gpus + MAX_GPUS) {
        out->index = byte - gpus;
        if (kind != DEVICE || out->index >= machine.gpu_count)
            return NVML_ERROR_INVALID_ARGUMENT;
        out->gpu = &machine.gpus[out->index];
        return health(out, function);
    }
    struct handle *handle = pointer;
    if (handle < handles || handle >= handles + handle_count || handle->kind != kind ||
        handle->gpu >= machine.gpu_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    out->index = handle->gpu;
    out->gpu = &machine.gpus[handle->gpu];
    out->gi = find_instance(out->gpu, handle->gi);
    if (kind != GPU_INSTANCE && out->gi)
        out->ci = find_compute(out->gi, handle->ci);
    int exists = out->gpu->mig && out->gi && (kind == GPU_INSTANCE || out->ci);
    if (!exists || (out->ci ? out->ci->serial : out->gi->serial) != handle->serial)
        return NVML_ERROR_INVALID_ARGUMENT; /* of an instance that was destroyed */
    return health(out, function);
}

/* ---- MIG devices ---- */

/* Every compute instance is a MIG device. Their indices run in the order of (GPU instance, compute
 * instance) without gaps, unless `idx=` in the machine's file pins one. */
int mig_devices(int index, struct target out[MAX_INSTANCES])
{
    struct gpu *gpu = &machine.gpus[index];
    struct target found[MAX_INSTANCES];
    int count = 0;
    memset(out, 0, sizeof(struct target) * MAX_INSTANCES);
    for (int id = 0; id < 16; id++) {
        struct gpu_instance *gi = find_instance(gpu, id);
        for (int c = 0; gi && c < MAX_INSTANCES && count < MAX_INSTANCES; c++) {
            struct compute_instance *ci = find_compute(gi, c);
            if (ci)
                found[count++] = (struct target){index, gpu, gi, ci};
        }
    }
    for (int i = 0; i < count; i++)
        if (found[i].ci->index >= 0 && found[i].ci->index < MAX_INSTANCES)
            out[found[i].ci->index] = found[i];
    for (int i = 0, place = 0; i < count; i++) {
        if (found[i].ci->index >= 0)
            continue;
        while (place < MAX_INSTANCES && out[place].gpu)
            place++;
        if (place < MAX_INSTANCES)
            out[place] = found[i];
    }
    return count;
}

/* A UUID in the shape of version 5, as real ones are: a hash of where the instance is. Whether the
 * same place gets the same UUID after a re-creation differs in the sources: mig_uuid= chooses. */
void mig_uuid(const struct target *device, char *out, unsigned long size)
{
    uint64_t a = 1469598103934665603ULL, b = 0x9E3779B97F4A7C15ULL;
    char place[192];
    int length = snprintf(place, sizeof place, "%s/%d/%d/%u", device->gpu->uuid, device->gi->id,
                          device->ci->id, machine.fresh_uuids ? device->ci->serial : 0);
    for (int i = 0; i < length; i++) {
        a = (a ^ (unsigned char)place[i]) * 1099511628211ULL;
        b = (b ^ a) * 0xD6E8FEB86659FD93ULL;
        b ^= b >> 29;
    }
    snprintf(out, size, "MIG-%08x-%04x-5%03x-%04x-%012llx", (unsigned)(a >> 32),
             (unsigned)(a & 0xffff), (unsigned)(b >> 52), (unsigned)(0x8000 | (b >> 36 & 0x3fff)),
             (unsigned long long)((a ^ b) & 0xffffffffffffULL));
}

nvmlReturn_t copy_text(char *out, unsigned int size, const char *text)
{
    NEED(out);
    if (strlen(text) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}
