/* MIG: compute instances, the parts of a GPU instance that are seen as MIG devices. */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <string.h>

#define SHAPE(target) (&(target)->gpu->model->shapes[(target)->gi->profile])

enum { PROFILE_NUMBERS = 9, FULL = 4 /* the profile of seven slices */ };

/* Which compute profiles a GPU instance can hold. */
static nvmlReturn_t check_profile(const struct target *at, unsigned int profile)
{
    if (profile >= PROFILE_NUMBERS)
        return NVML_ERROR_INVALID_ARGUMENT;
    int whole = SHAPE(at)->compute;
    if (profile > FULL || COMPUTE_SLICES[profile] > whole)
        return NVML_ERROR_NOT_SUPPORTED;
    return whole == 4 && COMPUTE_SLICES[profile] == 3 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
}

static int free_slices(const struct target *at)
{
    int left = SHAPE(at)->compute;
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (at->gi->compute[i].live)
            left -= COMPUTE_SLICES[at->gi->compute[i].profile];
    return left;
}

/* The two versions of the structure have these fields in common. */
#define FILL_PROFILE(out, target, profile)                                                         \
    do {                                                                                           \
        const struct engines *engines = &(target)->gpu->model->engines[(target)->gi->profile];     \
        int slices = COMPUTE_SLICES[profile], whole = SHAPE(target)->compute;                      \
        (out)->id = profile;                                                                       \
        (out)->sliceCount = slices;                                                                \
        (out)->instanceCount = whole / slices;                                                     \
        (out)->multiprocessorCount =                                                               \
            (target)->gpu->model->amounts[(target)->gi->profile].sms * slices / whole;             \
        (out)->sharedCopyEngineCount = engines->copy;                                              \
        (out)->sharedDecoderCount = engines->decoders;                                             \
        (out)->sharedEncoderCount = 0;                                                             \
        (out)->sharedJpegCount = engines->jpegs;                                                   \
        (out)->sharedOfaCount = engines->ofas;                                                     \
    } while (0)

NVML_API(nvmlGpuInstanceGetComputeInstanceProfileInfo, nvmlGpuInstance_t instance,
         unsigned int profile, unsigned int engine, nvmlComputeInstanceProfileInfo_t *out)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out && !engine);
    if ((error = check_profile(&at, profile)))
        return error;
    FILL_PROFILE(out, &at, profile);
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceGetComputeInstanceProfileInfoV, nvmlGpuInstance_t instance,
         unsigned int profile, unsigned int engine, nvmlComputeInstanceProfileInfo_v2_t *out)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out && !engine);
    if (out->version != VERSION(*out, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    if ((error = check_profile(&at, profile)))
        return error;
    FILL_PROFILE(out, &at, profile);
    char name[64];
    profile_name(at.gpu->model, at.gi->profile, name, sizeof name);
    if (COMPUTE_SLICES[profile] == SHAPE(&at)->compute)
        snprintf(out->name, sizeof out->name, "MIG %s", name);
    else
        snprintf(out->name, sizeof out->name, "MIG %dc.%s", COMPUTE_SLICES[profile], name);
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceGetComputeInstanceRemainingCapacity, nvmlGpuInstance_t instance,
         unsigned int profile, unsigned int *out)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out);
    NEED_PRIVILEGE();
    if ((error = check_profile(&at, profile)))
        return error;
    *out = free_slices(&at) / COMPUTE_SLICES[profile];
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceGetComputeInstances, nvmlGpuInstance_t instance, unsigned int profile,
         nvmlComputeInstance_t *out, unsigned int *count)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(count && out);
    NEED_PRIVILEGE();
    if ((error = check_profile(&at, profile)))
        return error;
    *count = 0;
    for (int i = 0; i < MAX_INSTANCES; i++) {
        const struct compute_instance *ci = &at.gi->compute[i];
        if (ci->live && ci->profile == (int)profile)
            out[(*count)++] = compute_handle(COMPUTE_INSTANCE, at.index, at.gi, ci);
    }
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceGetComputeInstanceById, nvmlGpuInstance_t instance, unsigned int id,
         nvmlComputeInstance_t *out)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out);
    NEED_PRIVILEGE();
    struct compute_instance *ci = find_compute(at.gi, id);
    if (!ci)
        return NVML_ERROR_NOT_FOUND;
    *out = compute_handle(COMPUTE_INSTANCE, at.index, at.gi, ci);
    return NVML_SUCCESS;
}

NVML_API(nvmlComputeInstanceGetInfo_v2, nvmlComputeInstance_t instance,
         nvmlComputeInstanceInfo_t *out)
{
    ENTER();
    RESOLVE(instance, COMPUTE_INSTANCE);
    NEED(out);
    memset(out, 0, sizeof *out);
    /* The handle of the MIG device: so a new one's UUID is found without a walk over all. */
    out->device = compute_handle(DEVICE, at.index, at.gi, at.ci);
    out->gpuInstance = instance_handle(at.index, at.gi);
    out->id = at.ci->id;
    out->profileId = at.ci->profile;
    out->placement.start = at.ci->start;
    out->placement.size = COMPUTE_SLICES[at.ci->profile];
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceCreateComputeInstance, nvmlGpuInstance_t instance, unsigned int profile,
         nvmlComputeInstance_t *out)
{
    ENTER_TO_WRITE();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out);
    NEED_PRIVILEGE();
    if ((error = check_profile(&at, profile)))
        return error;
    if (free_slices(&at) < COMPUTE_SLICES[profile])
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    int id = 0, start = SHAPE(&at)->compute - free_slices(&at);
    while (find_compute(at.gi, id))
        id++;
    for (int i = 0; i < MAX_INSTANCES; i++) {
        struct compute_instance *ci = &at.gi->compute[i];
        if (ci->live)
            continue;
        *ci = (struct compute_instance){.live = 1, .id = id, .profile = (int)profile,
                                        .start = start, .index = -1,
                                        .serial = machine.next_serial++, .used_mib = 12};
        *out = compute_handle(COMPUTE_INSTANCE, at.index, at.gi, ci);
        machine_save();
        return NVML_SUCCESS;
    }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
}

NVML_API(nvmlComputeInstanceDestroy, nvmlComputeInstance_t instance)
{
    ENTER_TO_WRITE();
    RESOLVE(instance, COMPUTE_INSTANCE);
    NEED_PRIVILEGE();
    if (is_busy(at.gpu, at.gi, at.ci))
        return NVML_ERROR_IN_USE;
    at.ci->live = 0;
    machine_save();
    return NVML_SUCCESS;
}
