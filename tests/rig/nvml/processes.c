/* The processes that use a GPU. */
#define _GNU_SOURCE
#include "machine.h"

#include <string.h>
#include <time.h>

static int belongs(const struct process *process, const struct target *at)
{
    return !at->gi || (process->gi == (unsigned int)at->gi->id &&
                       process->ci == (unsigned int)at->ci->id);
}

static nvmlReturn_t list_processes(const struct target *at, enum process_kind kind,
                                   unsigned int *count, nvmlProcessInfo_t *out)
{
    NEED(count);
    if (at->gpu->mig && !at->gi && !machine.privileged)
        return NVML_ERROR_NO_PERMISSION;
    unsigned int found = 0, room = *count;
    for (int i = 0; i < at->gpu->process_count; i++) {
        const struct process *process = &at->gpu->processes[i];
        if (process->kind != kind || !belongs(process, at))
            continue;
        if (found < room && out) {
            nvmlProcessInfo_t *info = &out[found];
            memset(info, 0, sizeof *info);
            info->pid = process->pid;
            info->usedGpuMemory = process->used_mib == NO_ID ? ~0ULL : process->used_mib * MIB;
            info->gpuInstanceId = at->gpu->mig ? process->gi : NO_ID;
            info->computeInstanceId = at->gpu->mig ? process->ci : NO_ID;
        }
        found++;
    }
    *count = found;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

#define PROCESS_LIST(name, kind)                                                                   \
    NVML_API(name, nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *out)               \
    {                                                                                              \
        ENTER();                                                                                   \
        ANY_DEVICE(device);                                                                        \
        return list_processes(&at, kind, count, out);                                              \
    }

#ifdef OLD_DRIVER
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v2, COMPUTE)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v2, GRAPHICS)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v2, MPS)
#else
PROCESS_LIST(nvmlDeviceGetComputeRunningProcesses_v3, COMPUTE)
PROCESS_LIST(nvmlDeviceGetGraphicsRunningProcesses_v3, GRAPHICS)
PROCESS_LIST(nvmlDeviceGetMPSComputeRunningProcesses_v3, MPS)
#endif

NVML_API(nvmlDeviceGetProcessUtilization, nvmlDevice_t device, nvmlProcessUtilizationSample_t *out,
         unsigned int *count, unsigned long long last_seen)
{
    (void)last_seen;
    ENTER();
    BOARD(device);
    NEED(count);
    if (at.gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    unsigned int found = at.gpu->process_count, room = out ? *count : 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (unsigned int i = 0; i < found && i < room; i++) {
        memset(&out[i], 0, sizeof *out);
        out[i].pid = at.gpu->processes[i].pid;
        out[i].smUtil = at.gpu->processes[i].sm_util;
        out[i].timeStamp = now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
    }
    *count = found;
    if (!found)
        return NVML_ERROR_NOT_FOUND;
    return found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}
