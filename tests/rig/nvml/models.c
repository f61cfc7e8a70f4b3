/* Facts about NVIDIA's products: memory, compute capability, MIG geometry.
 *
 * The geometry (slices, starts, maxima, ids) is NVIDIA's published one. Memory per profile differs
 * by a little from driver to driver. SM counts of B200 profiles are an estimate. */
#include "machine.h"

#include <stdio.h>
#include <string.h>

const int COMPUTE_SLICES[9] = {1, 2, 3, 4, 7, 8, 6, 1, 7};

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))
enum { TURING = 6, AMPERE = 7, ADA = 8, HOPPER = 9, BLACKWELL = 10 }; /* NVML_DEVICE_ARCH_* */

/* A100, H100, H200, B200: seven compute slices, eight memory slices. */
static const struct shape SEVEN[] = {
    {0, 19, 1, 1, 7, "", 7, {0, 1, 2, 3, 4, 5, 6}},
    {7, 20, 1, 1, 1, "+me", 7, {0, 1, 2, 3, 4, 5, 6}},
    {9, 15, 1, 2, 4, "", 4, {0, 2, 4, 6}},
    {1, 14, 2, 2, 3, "", 3, {0, 2, 4}},
    {2, 9, 3, 4, 2, "", 2, {0, 4}},
    {3, 5, 4, 4, 1, "", 1, {0}},
    {4, 0, 7, 8, 1, "", 1, {0}},
};
/* A30: four of each, and other ids for the same names. */
static const struct shape FOUR[] = {
    {0, 14, 1, 1, 4, "", 4, {0, 1, 2, 3}},
    {7, 21, 1, 1, 1, "+me", 4, {0, 1, 2, 3}},
    {1, 5, 2, 2, 2, "", 2, {0, 2}},
    {8, 6, 2, 2, 1, "+me", 2, {0, 2}},
    {3, 0, 4, 4, 1, "", 1, {0}},
};

/* Copy engines, decoders, JPEG and optical flow engines, in the order of the shapes. */
static const struct engines AMPERE_ENGINES[] = {
    {1, 0, 0, 0}, {1, 1, 1, 1}, {1, 1, 0, 0}, {2, 1, 0, 0},
    {3, 2, 0, 0}, {4, 2, 0, 0}, {7, 5, 1, 1},
};
static const struct engines HOPPER_ENGINES[] = {
    {1, 1, 1, 0}, {1, 1, 1, 1}, {1, 1, 1, 0}, {2, 2, 2, 0},
    {3, 3, 3, 0}, {4, 4, 4, 0}, {8, 7, 7, 1},
};
static const struct engines A30_ENGINES[] = {
    {1, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 0, 0}, {2, 2, 1, 1}, {4, 4, 1, 1},
};

static const struct amount A100_40[] = {
    {5, 4864, 14},   {5, 4864, 14},   {10, 9856, 14},  {10, 9856, 28},
    {20, 19968, 42}, {20, 19968, 56}, {40, 40192, 98},
};
static const struct amount A100_80[] = {
    {10, 9856, 14},  {10, 9856, 14},  {20, 19968, 14}, {20, 19968, 28},
    {40, 40192, 42}, {40, 40192, 56}, {80, 80384, 98},
};
static const struct amount H100_80[] = {
    {10, 9984, 16},  {10, 9984, 16},  {20, 20096, 26},  {20, 20096, 32},
    {40, 40448, 60}, {40, 40448, 64}, {80, 81152, 132},
};
static const struct amount H100_94[] = {
    {12, 11008, 16}, {12, 11008, 16}, {24, 22144, 26},  {24, 22144, 32},
    {47, 47488, 60}, {47, 47488, 64}, {94, 95360, 132},
};
static const struct amount H200[] = {
    {18, 16384, 16}, {18, 16384, 16}, {35, 33280, 26},   {35, 33280, 32},
    {71, 71424, 60}, {71, 71424, 64}, {141, 143360, 132},
};
static const struct amount B200[] = {
    {23, 22016, 18}, {23, 22016, 18}, {45, 45056, 30},   {45, 45056, 36},
    {90, 91136, 70}, {90, 91136, 72}, {180, 182272, 148},
};
static const struct amount A30[] = {
    {6, 5952, 14}, {6, 5952, 14}, {12, 11968, 28}, {12, 11968, 28}, {24, 24000, 56},
};

#define MIG_SEVEN(amounts, engines) 7, 8, COUNT(SEVEN), SEVEN, amounts, engines
#define MIG_FOUR(amounts, engines) 4, 4, COUNT(FOUR), FOUR, amounts, engines
#define NO_MIG 0, 0, 0, NULL, NULL, NULL

static const struct model MODELS[] = {
    {"a100-40", "NVIDIA A100-SXM4-40GB", 0x20B010DE, 40960, 80, AMPERE, 400,
     MIG_SEVEN(A100_40, AMPERE_ENGINES)},
    {"a100-80", "NVIDIA A100-SXM4-80GB", 0x20B210DE, 81920, 80, AMPERE, 400,
     MIG_SEVEN(A100_80, AMPERE_ENGINES)},
    {"a30", "NVIDIA A30", 0x20B710DE, 24576, 80, AMPERE, 165, MIG_FOUR(A30, A30_ENGINES)},
    {"h100-80", "NVIDIA H100 80GB HBM3", 0x233010DE, 81559, 90, HOPPER, 700,
     MIG_SEVEN(H100_80, HOPPER_ENGINES)},
    {"h100-94", "NVIDIA H100 NVL", 0x232110DE, 95830, 90, HOPPER, 400,
     MIG_SEVEN(H100_94, HOPPER_ENGINES)},
    {"h200-141", "NVIDIA H200", 0x233510DE, 143771, 90, HOPPER, 700,
     MIG_SEVEN(H200, HOPPER_ENGINES)},
    {"b200-180", "NVIDIA B200", 0x290110DE, 183359, 100, BLACKWELL, 1000,
     MIG_SEVEN(B200, HOPPER_ENGINES)},
    {"rtx3090", "NVIDIA GeForce RTX 3090", 0x220410DE, 24576, 86, AMPERE, 350, NO_MIG},
    {"rtx4090", "NVIDIA GeForce RTX 4090", 0x268410DE, 24564, 89, ADA, 450, NO_MIG},
    {"t4", "Tesla T4", 0x1EB810DE, 15360, 75, TURING, 70, NO_MIG},
};

const struct model *find_model(const char *key)
{
    for (int i = 0; i < COUNT(MODELS); i++)
        if (!strcmp(MODELS[i].key, key))
            return &MODELS[i];
    return NULL;
}

int profile_by_id(const struct model *model, unsigned int id)
{
    for (int i = 0; i < model->profile_count; i++)
        if (model->shapes[i].id == (int)id)
            return i;
    return -1;
}

int profile_by_number(const struct model *model, unsigned int number)
{
    for (int i = 0; i < model->profile_count; i++)
        if (model->shapes[i].number == (int)number)
            return i;
    return -1;
}

void profile_name(const struct model *model, int profile, char *out, unsigned long size)
{
    snprintf(out, size, "%dg.%dgb%s", model->shapes[profile].compute, model->amounts[profile].gb,
             model->shapes[profile].suffix);
}
