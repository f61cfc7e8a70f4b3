/* MIG: what still fits on a GPU, and making and destroying GPU instances.
 *
 * Every change is written to the machine's file, so all processes see one machine. */
#define _GNU_SOURCE
#include "machine.h"

#include <string.h>

#define SHAPE(gpu, profile) (&(gpu)->model->shapes[profile])

/* An instance needs free memory slices at its start, free compute slices anywhere, and a place
 * below its profile's maximum. */
static int fits(const struct gpu *gpu, int profile, int start)
{
    const struct shape *shape = SHAPE(gpu, profile);
    int compute = shape->compute, same = 0;
    for (int i = 0; i < MAX_INSTANCES; i++) {
        const struct gpu_instance *other = &gpu->instances[i];
        if (!other->live)
            continue;
        const struct shape *taken = SHAPE(gpu, other->profile);
        if (start < other->start + taken->memory && other->start < start + shape->memory)
            return 0;
        compute += taken->compute;
        same += other->profile == profile;
    }
    return compute <= gpu->model->compute_slices && same < shape->max;
}

static struct gpu_instance *free_slot(struct gpu *gpu)
{
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (!gpu->instances[i].live)
            return &gpu->instances[i];
    return NULL;
}

NVML_API(nvmlDeviceGetGpuInstanceRemainingCapacity, nvmlDevice_t device, unsigned int id,
         unsigned int *out)
{
    ENTER();
    WHOLE_GPU(device);
    NEED(out);
    NEED_PRIVILEGE();
    int profile = profile_by_id(at.gpu->model, id);
    if (!at.gpu->mig || profile < 0)
        return NVML_ERROR_NOT_SUPPORTED;
    struct gpu trial = *at.gpu;
    unsigned int count = 0;
    for (int i = 0; i < SHAPE(&trial, profile)->start_count; i++) {
        int start = SHAPE(&trial, profile)->starts[i];
        struct gpu_instance *slot = free_slot(&trial);
        if (slot && fits(&trial, profile, start)) {
            slot->live = 1;
            slot->profile = profile;
            slot->start = start;
            count++;
        }
    }
    *out = count;
    return NVML_SUCCESS;
}

int is_busy(const struct gpu *gpu, const struct gpu_instance *gi,
            const struct compute_instance *ci)
{
    for (int i = 0; i < gpu->process_count; i++) {
        const struct process *process = &gpu->processes[i];
        if ((!gi || process->gi == (unsigned int)gi->id) &&
            (!ci || process->ci == (unsigned int)ci->id))
            return 1;
    }
    return 0;
}

NVML_API(nvmlDeviceSetMigMode, nvmlDevice_t device, unsigned int mode, nvmlReturn_t *activation)
{
    ENTER_TO_WRITE();
    WHOLE_GPU(device);
    NEED(activation && mode < 2);
    if (!at.gpu->model->profile_count)
        return NVML_ERROR_NOT_SUPPORTED;
    NEED_PRIVILEGE();
    *activation = NVML_SUCCESS;
    at.gpu->mig_pending = mode;
    if (at.gpu->mig != (int)mode) {
        if (is_busy(at.gpu, NULL, NULL)) {
            *activation = NVML_ERROR_IN_USE; /* stays pending */
        } else {
            at.gpu->mig = mode;
            memset(at.gpu->instances, 0, sizeof at.gpu->instances);
        }
    }
    machine_save();
    return NVML_SUCCESS;
}

static nvmlReturn_t create(const struct target *at, int profile, int start, nvmlGpuInstance_t *out)
{
    const struct model *model = at->gpu->model;
    int size = model->shapes[profile].memory;
    struct gpu_instance *slot = free_slot(at->gpu);
    if (!slot || !fits(at->gpu, profile, start))
        return NVML_ERROR_INSUFFICIENT_RESOURCES;
    memset(slot, 0, sizeof *slot);
    slot->live = 1;
    slot->profile = profile;
    slot->start = start;
    /* Ids number the positions level by level: the whole, its halves, quarters, eighths. So an
     * instance that is made again at the same place has the same id. */
    slot->id = model->memory_slices / size - 1 + start / size;
    slot->serial = machine.next_serial++;
    *out = instance_handle(at->index, slot);
    machine_save();
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceCreateGpuInstance, nvmlDevice_t device, unsigned int id, nvmlGpuInstance_t *out)
{
    ENTER_TO_WRITE();
    WHOLE_GPU(device);
    NEED(out);
    NEED_PRIVILEGE();
    if (!at.gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    int profile = profile_by_id(at.gpu->model, id);
    NEED(profile >= 0);
    /* The driver's own choice of a place is not documented; this is the highest that is free. */
    for (int i = SHAPE(at.gpu, profile)->start_count - 1; i >= 0; i--) {
        int start = SHAPE(at.gpu, profile)->starts[i];
        if (fits(at.gpu, profile, start))
            return create(&at, profile, start, out);
    }
    return NVML_ERROR_INSUFFICIENT_RESOURCES;
}

NVML_API(nvmlDeviceCreateGpuInstanceWithPlacement, nvmlDevice_t device, unsigned int id,
         const nvmlGpuInstancePlacement_t *placement, nvmlGpuInstance_t *out)
{
    ENTER_TO_WRITE();
    WHOLE_GPU(device);
    NEED(out && placement);
    NEED_PRIVILEGE();
    if (!at.gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    int profile = profile_by_id(at.gpu->model, id);
    NEED(profile >= 0 && (int)placement->size == SHAPE(at.gpu, profile)->memory);
    for (int i = 0; i < SHAPE(at.gpu, profile)->start_count; i++)
        if (SHAPE(at.gpu, profile)->starts[i] == (int)placement->start)
            return create(&at, profile, placement->start, out);
    return NVML_ERROR_INVALID_ARGUMENT;
}

NVML_API(nvmlGpuInstanceDestroy, nvmlGpuInstance_t instance)
{
    ENTER_TO_WRITE();
    RESOLVE(instance, GPU_INSTANCE);
    NEED_PRIVILEGE();
    if (is_busy(at.gpu, at.gi, NULL))
        return NVML_ERROR_IN_USE;
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (at.gi->compute[i].live)
            return NVML_ERROR_IN_USE;
    at.gi->live = 0;
    machine_save();
    return NVML_SUCCESS;
}
