/* Queries about the driver, and about the identity and memory of devices. */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <string.h>

/* ---- the driver ---- */

EXPORT const char *nvmlErrorString(nvmlReturn_t code);
EXPORT const char *nvmlErrorString(nvmlReturn_t code)
{
    switch (code) {
    case NVML_SUCCESS:
        return "Success";
    case NVML_ERROR_UNINITIALIZED:
        return "Uninitialized";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "Invalid Argument";
    case NVML_ERROR_NOT_SUPPORTED:
        return "Not Supported";
    case NVML_ERROR_NO_PERMISSION:
        return "Insufficient Permissions";
    case NVML_ERROR_NOT_FOUND:
        return "Not Found";
    case NVML_ERROR_DRIVER_NOT_LOADED:
        return "Driver Not Loaded";
    case NVML_ERROR_TIMEOUT:
        return "Timeout";
    case NVML_ERROR_GPU_IS_LOST:
        return "GPU is lost";
    case NVML_ERROR_IN_USE:
        return "In use by another client";
    case NVML_ERROR_INSUFFICIENT_RESOURCES:
        return "Insufficient Resources";
    default:
        return "Unknown Error";
    }
}

NVML_API(nvmlSystemGetDriverVersion, char *out, unsigned int size)
{
    ENTER();
    return copy_text(out, size, machine.driver);
}

NVML_API(nvmlSystemGetNVMLVersion, char *out, unsigned int size)
{
    ENTER();
    return copy_text(out, size, machine.nvml);
}

NVML_API(nvmlSystemGetCudaDriverVersion, int *out)
{
    ENTER();
    NEED(out);
    *out = machine.cuda;
    return NVML_SUCCESS;
}

NVML_API(nvmlSystemGetCudaDriverVersion_v2, int *out)
{
    ENTER();
    NEED(out);
    *out = machine.cuda;
    return NVML_SUCCESS;
}

/* ---- finding a GPU ---- */

NVML_API(nvmlDeviceGetCount_v2, unsigned int *out)
{
    ENTER();
    NEED(out);
    *out = machine.gpu_count; /* a lost GPU still counts */
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetHandleByIndex_v2, unsigned int index, nvmlDevice_t *out)
{
    ENTER();
    NEED(out && (int)index < machine.gpu_count);
    struct target at = {(int)index, &machine.gpus[index], NULL, NULL};
    if ((error = health(&at, __func__)))
        return error;
    *out = gpu_handle(index);
    return NVML_SUCCESS;
}

/* Does a MIG device go by this name? Drivers before R470 wrote MIG-<GPU UUID>/<gi>/<ci>. */
static int is_named(const struct target *device, const char *uuid)
{
    char own[96], gpu[96];
    unsigned int gi, ci;
    mig_uuid(device, own, sizeof own);
    if (!strcmp(own, uuid))
        return 1;
    if (sscanf(uuid, "MIG-%95[^/]/%u/%u", gpu, &gi, &ci) != 3)
        return 0;
    return !strcmp(gpu, device->gpu->uuid) && (int)gi == device->gi->id &&
           (int)ci == device->ci->id;
}

NVML_API(nvmlDeviceGetHandleByUUID, const char *uuid, nvmlDevice_t *out)
{
    ENTER();
    NEED(uuid && out);
    int lost = 0;
    for (int i = 0; i < machine.gpu_count; i++) {
        struct gpu *gpu = &machine.gpus[i];
        struct target devices[MAX_INSTANCES];
        if (!strcmp(gpu->uuid, uuid)) {
            if (gpu->lost)
                return NVML_ERROR_GPU_IS_LOST;
            *out = gpu_handle(i);
            return NVML_SUCCESS;
        }
        lost |= gpu->lost;
        if (gpu->lost || !gpu->mig)
            continue;
        mig_devices(i, devices);
        for (int j = 0; j < MAX_INSTANCES; j++) {
            if (devices[j].gpu && is_named(&devices[j], uuid)) {
                *out = compute_handle(DEVICE, i, devices[j].gi, devices[j].ci);
                return NVML_SUCCESS;
            }
        }
    }
    /* NVML cannot know whether a GPU that fell off the bus was the one. */
    return lost ? NVML_ERROR_GPU_IS_LOST : NVML_ERROR_NOT_FOUND;
}

/* Reads both `00000000:07:00.0` and the short `07:00.0`. */
static int parse_pci(const char *text, unsigned int out[3])
{
    if (sscanf(text, "%x:%x:%x", &out[0], &out[1], &out[2]) == 3)
        return 1;
    out[0] = 0;
    return sscanf(text, "%x:%x", &out[1], &out[2]) == 2;
}

NVML_API(nvmlDeviceGetHandleByPciBusId_v2, const char *id, nvmlDevice_t *out)
{
    ENTER();
    unsigned int wanted[3], own[3];
    NEED(id && out && parse_pci(id, wanted));
    for (int i = 0; i < machine.gpu_count; i++) {
        if (!parse_pci(machine.gpus[i].pci, own) || memcmp(own, wanted, sizeof own))
            continue;
        if (machine.gpus[i].lost)
            return NVML_ERROR_GPU_IS_LOST;
        *out = gpu_handle(i);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_NOT_FOUND;
}

/* ---- identity ---- */

NVML_API(nvmlDeviceGetName, nvmlDevice_t device, char *out, unsigned int size)
{
    ENTER();
    ANY_DEVICE(device);
    if (!at.gi)
        return copy_text(out, size, at.gpu->name);
    char profile[64], name[256];
    profile_name(at.gpu->model, at.gi->profile, profile, sizeof profile);
    int slices = COMPUTE_SLICES[at.ci->profile];
    if (slices == at.gpu->model->shapes[at.gi->profile].compute)
        snprintf(name, sizeof name, "%s MIG %s", at.gpu->name, profile);
    else
        snprintf(name, sizeof name, "%s MIG %dc.%s", at.gpu->name, slices, profile);
    return copy_text(out, size, name);
}

NVML_API(nvmlDeviceGetUUID, nvmlDevice_t device, char *out, unsigned int size)
{
    ENTER();
    ANY_DEVICE(device);
    char uuid[96];
    if (!at.gi)
        return copy_text(out, size, at.gpu->uuid);
    mig_uuid(&at, uuid, sizeof uuid);
    return copy_text(out, size, uuid);
}

NVML_API(nvmlDeviceGetSerial, nvmlDevice_t device, char *out, unsigned int size)
{
    ENTER();
    BOARD(device);
    return copy_text(out, size, at.gpu->serial);
}

NVML_API(nvmlDeviceGetIndex, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    *out = at.index;
    if (at.gi) {
        struct target devices[MAX_INSTANCES];
        mig_devices(at.index, devices);
        for (int i = 0; i < MAX_INSTANCES; i++)
            if (devices[i].ci == at.ci)
                *out = i;
    }
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetPciInfo_v3, nvmlDevice_t device, nvmlPciInfo_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    unsigned int id[3];
    NEED(out);
    if (!parse_pci(at.gpu->pci, id))
        return NVML_ERROR_UNKNOWN;
    memset(out, 0, sizeof *out);
    out->domain = id[0];
    out->bus = id[1];
    out->device = id[2];
    out->pciDeviceId = at.gpu->model->pci_id;
    snprintf(out->busId, sizeof out->busId, "%08X:%02X:%02X.0", id[0], id[1], id[2]);
    snprintf(out->busIdLegacy, sizeof out->busIdLegacy, "%04X:%02X:%02X.0", id[0] & 0xffff,
             id[1] & 0xff, id[2] & 0xff);
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetCudaComputeCapability, nvmlDevice_t device, int *major, int *minor)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(major && minor);
    *major = at.gpu->model->capability / 10;
    *minor = at.gpu->model->capability % 10;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetArchitecture, nvmlDevice_t device, nvmlDeviceArchitecture_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    *out = at.gpu->model->architecture;
    return NVML_SUCCESS;
}

/* ---- memory ---- */

struct memory { unsigned long long total, reserved, used; };

/* What processes use counts, besides what the driver itself takes (`used=` in the file). */
static nvmlReturn_t read_memory(const struct target *at, struct memory *out)
{
    unsigned long long used = at->gi ? at->ci->used_mib : at->gpu->used_mib;
    if (!at->gi && at->gpu->mig && !machine.privileged)
        return NVML_ERROR_NO_PERMISSION;
    for (int i = 0; i < at->gpu->process_count; i++) {
        const struct process *process = &at->gpu->processes[i];
        int here = !at->gi || process->gi == (unsigned int)at->gi->id;
        if (here && process->used_mib != NO_ID)
            used += process->used_mib;
    }
    out->total = MIB * (at->gi ? (unsigned int)at->gpu->model->amounts[at->gi->profile].mib
                               : at->gpu->model->memory_mib);
    out->reserved = at->gi ? 0 : MIB * (at->gpu->model->memory_mib / 80);
    out->used = used * MIB;
    if (out->used + out->reserved > out->total)
        out->used = out->total - out->reserved;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetMemoryInfo, nvmlDevice_t device, nvmlMemory_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    struct memory memory;
    NEED(out);
    if ((error = read_memory(&at, &memory)))
        return error;
    out->total = memory.total;
    out->used = memory.used + memory.reserved; /* the first version counts it as used */
    out->free = memory.total - out->used;
    return NVML_SUCCESS;
}

#ifndef OLD_DRIVER
NVML_API(nvmlDeviceGetMemoryInfo_v2, nvmlDevice_t device, nvmlMemory_v2_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    struct memory memory;
    NEED(out);
    if (out->version != VERSION(*out, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if ((error = read_memory(&at, &memory)))
        return error;
    out->total = memory.total;
    out->reserved = memory.reserved;
    out->used = memory.used;
    out->free = memory.total - memory.used - memory.reserved;
    return NVML_SUCCESS;
}
#endif

NVML_API(nvmlDeviceGetBAR1MemoryInfo, nvmlDevice_t device, nvmlBAR1Memory_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    out->bar1Total = out->bar1Free = at.gpu->model->memory_mib * MIB;
    out->bar1Used = 0;
    return NVML_SUCCESS;
}
