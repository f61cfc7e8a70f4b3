/* Sensors and settings of a board. */
#include "machine.h"

#include <stddef.h>

/* A function that answers one number about the board. */
#define BOARD_VALUE(name, type, value)                                                             \
    NVML_API(name, nvmlDevice_t device, type *out)                                                 \
    {                                                                                              \
        ENTER();                                                                                   \
        BOARD(device);                                                                             \
        NEED(out);                                                                                 \
        *out = value;                                                                              \
        return NVML_SUCCESS;                                                                       \
    }

BOARD_VALUE(nvmlDeviceGetMinorNumber, unsigned int, at.gpu->minor)
BOARD_VALUE(nvmlDeviceGetPowerUsage, unsigned int, at.gpu->milliwatts)
BOARD_VALUE(nvmlDeviceGetEnforcedPowerLimit, unsigned int, at.gpu->milliwatts_limit)
BOARD_VALUE(nvmlDeviceGetPowerManagementLimit, unsigned int, at.gpu->milliwatts_limit)
BOARD_VALUE(nvmlDeviceGetPerformanceState, nvmlPstates_t, 0)
BOARD_VALUE(nvmlDeviceGetPersistenceMode, nvmlEnableState_t, 1)
BOARD_VALUE(nvmlDeviceGetDisplayActive, nvmlEnableState_t, 0)
BOARD_VALUE(nvmlDeviceGetDisplayMode, nvmlEnableState_t, 0)
BOARD_VALUE(nvmlDeviceGetComputeMode, nvmlComputeMode_t, 0)

NVML_API(nvmlDeviceGetTemperature, nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
         unsigned int *out)
{
    ENTER();
    BOARD(device);
    NEED(out && sensor == 0);
    *out = at.gpu->temperature;
    return NVML_SUCCESS;
}

#ifndef OLD_DRIVER
NVML_API(nvmlDeviceGetTemperatureV, nvmlDevice_t device, nvmlTemperature_t *out)
{
    ENTER();
    BOARD(device);
    NEED(out);
    if (out->version != VERSION(*out, 1))
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    out->temperature = at.gpu->temperature;
    return NVML_SUCCESS;
}
#endif

NVML_API(nvmlDeviceGetFanSpeed, nvmlDevice_t device, unsigned int *out)
{
    ENTER();
    BOARD(device);
    NEED(out);
    if (at.gpu->fan < 0)
        return NVML_ERROR_NOT_SUPPORTED; /* cooled by its server */
    *out = at.gpu->fan;
    return NVML_SUCCESS;
}

/* NVML does not measure utilization on a GPU with MIG, neither for it nor for its parts. */
NVML_API(nvmlDeviceGetUtilizationRates, nvmlDevice_t device, nvmlUtilization_t *out)
{
    ENTER();
    ANY_DEVICE(device);
    NEED(out);
    if (at.gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    out->gpu = at.gpu->util;
    out->memory = at.gpu->memory_util;
    return NVML_SUCCESS;
}

static nvmlReturn_t idle_engine(const struct target *at, unsigned int *out, unsigned int *period_us)
{
    NEED(out && period_us);
    if (at->gpu->mig)
        return NVML_ERROR_NOT_SUPPORTED;
    *out = 0;
    *period_us = 167000;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetEncoderUtilization, nvmlDevice_t device, unsigned int *out,
         unsigned int *period_us)
{
    ENTER();
    ANY_DEVICE(device);
    return idle_engine(&at, out, period_us);
}

NVML_API(nvmlDeviceGetDecoderUtilization, nvmlDevice_t device, unsigned int *out,
         unsigned int *period_us)
{
    ENTER();
    ANY_DEVICE(device);
    return idle_engine(&at, out, period_us);
}

#define MEMORY_CLOCK 2 /* NVML_CLOCK_MEM */
#define MAX_SM_CLOCK 1410

NVML_API(nvmlDeviceGetClockInfo, nvmlDevice_t device, nvmlClockType_t type, unsigned int *out)
{
    ENTER();
    BOARD(device);
    NEED(out);
    *out = type == MEMORY_CLOCK ? at.gpu->memory_clock : at.gpu->sm_clock;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetMaxClockInfo, nvmlDevice_t device, nvmlClockType_t type, unsigned int *out)
{
    ENTER();
    BOARD(device);
    NEED(out);
    *out = type == MEMORY_CLOCK ? at.gpu->memory_clock : MAX_SM_CLOCK;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetTotalEccErrors, nvmlDevice_t device, nvmlMemoryErrorType_t type,
         nvmlEccCounterType_t counter, unsigned long long *out)
{
    (void)type;
    (void)counter;
    ENTER();
    BOARD(device);
    NEED(out);
    *out = 0;
    return NVML_SUCCESS;
}

NVML_API(nvmlDeviceGetPcieThroughput, nvmlDevice_t device, nvmlPcieUtilCounter_t counter,
         unsigned int *out)
{
    (void)counter;
    ENTER();
    BOARD(device);
    NEED(out);
    *out = 0;
    return NVML_SUCCESS;
}
