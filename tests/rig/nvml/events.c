/* Events: XID errors, which the machine's file injects as `xid` lines. */
#define _GNU_SOURCE
#include "machine.h"

#include <stddef.h>
#include <string.h>

enum { MAX_SETS = 16, POLL_MS = 10 };
enum { XID_CRITICAL_ERROR = 8, SUPPORTED = 0x1F }; /* nvmlEventTypeXidCriticalError */

/* A set sees each event once, and none from before its creation. */
static struct event_set {
    int live;
    unsigned long seen;
    unsigned int gpus; /* one bit each */
    unsigned long long types;
} sets[MAX_SETS];

static struct event_set *find_set(void *pointer)
{
    struct event_set *set = pointer;
    return set >= sets && set < sets + MAX_SETS && set->live ? set : NULL;
}

NVML_API(nvmlEventSetCreate, nvmlEventSet_t *out)
{
    ENTER();
    NEED(out);
    for (int i = 0; i < MAX_SETS; i++) {
        if (sets[i].live)
            continue;
        sets[i] = (struct event_set){.live = 1};
        for (int x = 0; x < machine.xid_count; x++)
            if (machine.xids[x].number > sets[i].seen)
                sets[i].seen = machine.xids[x].number;
        *out = (void *)&sets[i];
        return NVML_SUCCESS;
    }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
}

NVML_API(nvmlEventSetFree, nvmlEventSet_t handle)
{
    ENTER();
    struct event_set *set = find_set(handle);
    NEED(set);
    set->live = 0;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetSupportedEventTypes, nvmlDevice_t device, unsigned long long *out)
{
    ENTER();
    BOARD(device);
    NEED(out);
    *out = SUPPORTED;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceRegisterEvents, nvmlDevice_t device, unsigned long long types,
         nvmlEventSet_t handle)
{
    ENTER();
    BOARD(device);
    struct event_set *set = find_set(handle);
    NEED(set && types);
    set->gpus |= 1u << at.index;
    set->types |= types;
    return NVML_SUCCESS;
}

/* Answers TIMEOUT when nothing has happened yet. */
static nvmlReturn_t next_event(nvmlEventSet_t handle, nvmlEventData_t *out)
{
    ENTER_("nvmlEventSetWait_v2", 0);
    struct event_set *set = find_set(handle);
    NEED(set && out);
    for (int i = 0; i < machine.xid_count; i++) {
        const struct xid *xid = &machine.xids[i];
        int wanted = set->gpus >> xid->gpu & 1 && set->types & XID_CRITICAL_ERROR;
        if (xid->number <= set->seen || !wanted)
            continue;
        set->seen = xid->number;
        memset(out, 0, sizeof *out);
        out->device = gpu_handle(xid->gpu);
        out->eventType = XID_CRITICAL_ERROR;
        out->eventData = xid->code;
        out->gpuInstanceId = xid->gi;
        out->computeInstanceId = xid->ci;
        return NVML_SUCCESS;
    }
    return NVML_ERROR_TIMEOUT;
}

NVML_API(nvmlEventSetWait_v2, nvmlEventSet_t handle, nvmlEventData_t *out, unsigned int timeout_ms)
{
    for (long left = timeout_ms;; left -= POLL_MS) {
        nvmlReturn_t result = next_event(handle, out);
        if (result != NVML_ERROR_TIMEOUT || left <= 0)
            return result;
        pause_us(POLL_MS * 1000);
    }
}
