/* The part of NVIDIA's nvml.h that the simulation speaks, laid out as the real one.
 *
 * Compile with -DREAL_NVML_H and -I<directory of nvml.h> to have gcc check every implemented
 * function against NVIDIA's own declarations instead. */
#ifndef NVML_TYPES_H
#define NVML_TYPES_H

#ifdef REAL_NVML_H
#include "nvml.h"
#else

typedef int nvmlReturn_t;
enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NO_PERMISSION = 4,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_TIMEOUT = 10,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_RESET_REQUIRED = 16,
    NVML_ERROR_IN_USE = 19,
    NVML_ERROR_INSUFFICIENT_RESOURCES = 23,
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_ERROR_UNKNOWN = 999,
};

typedef void *nvmlDevice_t, *nvmlGpuInstance_t, *nvmlComputeInstance_t, *nvmlEventSet_t;
typedef int nvmlTemperatureSensors_t, nvmlEnableState_t, nvmlClockType_t, nvmlPstates_t;
typedef int nvmlComputeMode_t, nvmlMemoryErrorType_t, nvmlEccCounterType_t, nvmlPcieUtilCounter_t;
typedef unsigned int nvmlDeviceArchitecture_t;

typedef unsigned int u32;
typedef unsigned long long u64;

typedef struct { u64 total, free, used; } nvmlMemory_t;
typedef struct { u32 version; u64 total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { u64 bar1Total, bar1Free, bar1Used; } nvmlBAR1Memory_t;
typedef struct { u32 gpu, memory; } nvmlUtilization_t;
typedef struct { u32 version, sensorType; int temperature; } nvmlTemperature_t;
typedef struct {
    u32 pid;
    u64 usedGpuMemory;
    u32 gpuInstanceId, computeInstanceId;
} nvmlProcessInfo_t;
typedef struct {
    u32 pid;
    u64 timeStamp;
    u32 smUtil, memUtil, encUtil, decUtil;
} nvmlProcessUtilizationSample_t;
typedef struct {
    char busIdLegacy[16];
    u32 domain, bus, device, pciDeviceId, pciSubSystemId;
    char busId[32];
} nvmlPciInfo_t;
typedef struct {
    u32 multiprocessorCount, sharedCopyEngineCount, sharedDecoderCount, sharedEncoderCount;
    u32 sharedJpegCount, sharedOfaCount, gpuInstanceSliceCount, computeInstanceSliceCount;
    u64 memorySizeMB;
} nvmlDeviceAttributes_t;
typedef struct { u32 start, size; } nvmlGpuInstancePlacement_t, nvmlComputeInstancePlacement_t;

#define PROFILE_FIELDS                                                                             \
    u32 id, isP2pSupported, sliceCount, instanceCount, multiprocessorCount, copyEngineCount;       \
    u32 decoderCount, encoderCount, jpegCount, ofaCount;                                           \
    u64 memorySizeMB
typedef struct { PROFILE_FIELDS; } nvmlGpuInstanceProfileInfo_t;
typedef struct { u32 version; PROFILE_FIELDS; char name[96]; } nvmlGpuInstanceProfileInfo_v2_t;

#define COMPUTE_PROFILE_FIELDS                                                                     \
    u32 id, sliceCount, instanceCount, multiprocessorCount, sharedCopyEngineCount;                 \
    u32 sharedDecoderCount, sharedEncoderCount, sharedJpegCount, sharedOfaCount
typedef struct { COMPUTE_PROFILE_FIELDS; } nvmlComputeInstanceProfileInfo_t;
typedef struct {
    u32 version;
    COMPUTE_PROFILE_FIELDS;
    char name[96];
} nvmlComputeInstanceProfileInfo_v2_t;

typedef struct {
    nvmlDevice_t device;
    u32 id, profileId;
    nvmlGpuInstancePlacement_t placement;
} nvmlGpuInstanceInfo_t;
typedef struct {
    nvmlDevice_t device;
    nvmlGpuInstance_t gpuInstance;
    u32 id, profileId;
    nvmlComputeInstancePlacement_t placement;
} nvmlComputeInstanceInfo_t;
typedef struct {
    nvmlDevice_t device;
    u64 eventType, eventData;
    u32 gpuInstanceId, computeInstanceId;
} nvmlEventData_t;

#endif

/* The version word of a structure: its size, and a number in the top byte. */
#define VERSION(structure, number) ((unsigned int)(sizeof(structure) | (number) << 24))

#endif
