/* MIG: the devices, profiles and GPU instances of a GPU. */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <string.h>

#define SHAPE(gpu, profile) (&(gpu)->model->shapes[profile])

/* ---- mode and MIG devices ---- */

NVML_API(nvmlDeviceGetMigMode, nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    ENTER();
    BOARD(device);
    NEED(current && pending);
    if (!at.gpu->model->profile_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *current = at.gpu->mig;
    *pending = at.gpu->mig_pending;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetMaxMigDeviceCount, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out);
    *out = at.gpu->mig ? at.gpu->model->compute_slices : 0;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetMigDeviceHandleByIndex, nvmlDevice_t device, unsigned int index,
         nvmlDevice_t *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out && index < MAX_INSTANCES);
    struct target devices[MAX_INSTANCES];
    if (!at.gpu->mig)
        return NVML_ERROR_NOT_FOUND;
    mig_devices(at.index, devices);
    if (!devices[index].gpu)
        return NVML_ERROR_NOT_FOUND;
    *out = compute_handle(DEVICE, at.index, devices[index].gi, devices[index].ci);
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceIsMigDeviceHandle, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    *out = at.gi != NULL;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, nvmlDevice_t device, nvmlDevice_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out && at.gi);
    *out = gpu_handle(at.index);
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetGpuInstanceId, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    if (!at.gi)
        return NVML_ERROR_NOT_SUPPORTED;
    *out = at.gi->id;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetComputeInstanceId, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    if (!at.gi)
        return NVML_ERROR_NOT_SUPPORTED;
    *out = at.ci->id;
    return NVML_SUCCESS;
}

/* SMs of a part of a GPU instance; the whole instance has some that no part has. */
static int sms(const struct gpu *gpu, int profile, int slices)
{
    return gpu->model->amounts[profile].sms * slices / SHAPE(gpu, profile)->compute;
}

NVML_API(nvmlDeviceGetAttributes_v2, nvmlDevice_t device, nvmlDeviceAttributes_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    if (!at.gi)
        return NVML_ERROR_NOT_SUPPORTED;
    int profile = at.gi->profile, slices = COMPUTE_SLICES[at.ci->profile];
    const struct engines *engines = &at.gpu->model->engines[profile];
    memset(out, 0, sizeof *out);
    out->multiprocessorCount = sms(at.gpu, profile, slices);
    out->sharedCopyEngineCount = engines->copy;
    out->sharedDecoderCount = engines->decoders;
    out->sharedJpegCount = engines->jpegs;
    out->sharedOfaCount = engines->ofas;
    out->gpuInstanceSliceCount = SHAPE(at.gpu, profile)->compute;
    out->computeInstanceSliceCount = slices;
    out->memorySizeMB = at.gpu->model->amounts[profile].mib;
    return NVML_SUCCESS;
}

/* ---- profiles of GPU instances ---- */

/* The two versions of the structure have these fields in common. */
#define FILL_PROFILE(out, gpu, profile)                                                            \
    do {                                                                                           \
        const struct engines *engines = &(gpu)->model->engines[profile];                           \
        (out)->id = SHAPE(gpu, profile)->id;                                                       \
        (out)->isP2pSupported = 0;                                                                 \
        (out)->sliceCount = SHAPE(gpu, profile)->compute;                                          \
        (out)->instanceCount = SHAPE(gpu, profile)->max;                                           \
        (out)->multiprocessorCount = (gpu)->model->amounts[profile].sms;                           \
        (out)->copyEngineCount = engines->copy;                                                    \
        (out)->decoderCount = engines->decoders;                                                   \
        (out)->encoderCount = 0;                                                                   \
        (out)->jpegCount = engines->jpegs;                                                         \
        (out)->ofaCount = engines->ofas;                                                           \
        (out)->memorySizeMB = (gpu)->model->amounts[profile].mib;                                  \
    } while (0)

enum { PROFILE_NUMBERS = 18 }; /* NVML_GPU_INSTANCE_PROFILE_COUNT */

NVML_API(nvmlDeviceGetGpuInstanceProfileInfo, nvmlDevice_t device, unsigned int number,
         nvmlGpuInstanceProfileInfo_t *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out && number < PROFILE_NUMBERS);
    int profile = profile_by_number(at.gpu->model, number);
    if (profile < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    FILL_PROFILE(out, at.gpu, profile);
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetGpuInstanceProfileInfoV, nvmlDevice_t device, unsigned int number,
         nvmlGpuInstanceProfileInfo_v2_t *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out && number < PROFILE_NUMBERS);
    if (out->version != VERSION(*out, 2))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    int profile = profile_by_number(at.gpu->model, number);
    if (profile < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    FILL_PROFILE(out, at.gpu, profile);
    strcpy(out->name, "MIG ");
    profile_name(at.gpu->model, profile, out->name + 4, sizeof out->name - 4);
    return NVML_SUCCESS;
}

/* ---- places for GPU instances ---- */

NVML_API(nvmlDeviceGetGpuInstancePossiblePlacements_v2, nvmlDevice_t device, unsigned int id,
         nvmlGpuInstancePlacement_t *out, unsigned int *count)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(count);
    NEED_PRIVILEGE();
    int profile = profile_by_id(at.gpu->model, id);
    if (profile < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    const struct shape *shape = SHAPE(at.gpu, profile);
    unsigned int room = *count;
    *count = shape->start_count;
    if (!out)
        return NVML_SUCCESS;
    if (room < *count)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (int i = 0; i < shape->start_count; i++) {
        out[i].start = shape->starts[i];
        out[i].size = shape->memory;
    }
    return NVML_SUCCESS;
}

/* ---- finding GPU instances ---- */

NVML_API(nvmlDeviceGetGpuInstances, nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *out,
         unsigned int *count)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(count && out);
    NEED_PRIVILEGE();
    int profile = profile_by_id(at.gpu->model, id);
    if (!at.gpu->mig || profile < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = 0;
    for (int i = 0; i < MAX_INSTANCES; i++) {
        const struct gpu_instance *gi = &at.gpu->instances[i];
        if (gi->live && gi->profile == profile)
            out[(*count)++] = instance_handle(at.index, gi);
    }
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetGpuInstanceById, nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out);
    NEED_PRIVILEGE();
    if (!at.gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    struct gpu_instance *gi = find_instance(at.gpu, id);
    if (!gi)
        return NVML_ERROR_NOT_FOUND;
    *out = instance_handle(at.index, gi);
    return NVML_SUCCESS;
}

NVML_API(nvmlGpuInstanceGetInfo, nvmlGpuInstance_t instance, nvmlGpuInstanceInfo_t *out)
{
    ENTER();
    RESOLVE(instance, GPU_INSTANCE);
    NEED(out);
    memset(out, 0, sizeof *out);
    out->device = gpu_handle(at.index);
    out->id = at.gi->id;
    out->profileId = SHAPE(at.gpu, at.gi->profile)->id;
    out->placement.start = at.gi->start;
    out->placement.size = SHAPE(at.gpu, at.gi->profile)->memory;
    return NVML_SUCCESS;
}
