/* The machine's file: read whenever it changes, written after a repartition through the API.
 *
 * Its format is described in machine.py. It is only ever replaced by rename(), so a reader sees
 * either the old machine or the new one. */
#define _GNU_SOURCE
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_WORDS = 40 };

struct machine machine;
static struct stat seen; /* identity of the file that `machine` was read from */

struct words { char *word[MAX_WORDS]; int count; };

const char *machine_path(void)
{
    const char *path = getenv("FAKENVML_STATE");
    return path ? path : "fakenvml.state";
}

struct gpu_instance *find_instance(struct gpu *gpu, int id)
{
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (gpu->instances[i].live && gpu->instances[i].id == id)
            return &gpu->instances[i];
    return NULL;
}

struct compute_instance *find_compute(struct gpu_instance *instance, int id)
{
    for (int i = 0; i < MAX_INSTANCES; i++)
        if (instance->compute[i].live && instance->compute[i].id == id)
            return &instance->compute[i];
    return NULL;
}

/* ---- reading ---- */

/* Split `a b="c d" # comment` in place into `a` and `b=c d`. */
static struct words split(char *text)
{
    struct words words = {.count = 0};
    while (words.count < MAX_WORDS) {
        text += strspn(text, " \t");
        if (!*text || *text == '#' || *text == '\n')
            break;
        words.word[words.count++] = text;
        char *end = text;
        int quoted = 0;
        for (; *text && *text != '\n' && (quoted || (*text != ' ' && *text != '\t')); text++) {
            if (*text == '"')
                quoted = !quoted;
            else
                *end++ = *text;
        }
        if (*text)
            text++;
        *end = 0;
    }
    return words;
}

static const char *text_of(const struct words *words, const char *key, const char *otherwise)
{
    size_t length = strlen(key);
    for (int i = 1; i < words->count; i++)
        if (!strncmp(words->word[i], key, length) && words->word[i][length] == '=')
            return words->word[i] + length + 1;
    return otherwise;
}

static long number_of(const struct words *words, const char *key, long otherwise)
{
    const char *text = text_of(words, key, NULL);
    return text ? strtol(text, NULL, 0) : otherwise;
}

#define COPY_TEXT(field, key, otherwise)                                                           \
    snprintf(field, sizeof field, "%s", text_of(words, key, otherwise))

static void read_system(const struct words *words)
{
    char driver[sizeof machine.driver], nvml[sizeof machine.nvml];
    COPY_TEXT(driver, "driver", machine.driver);
    COPY_TEXT(nvml, "nvml", machine.nvml);
    memcpy(machine.driver, driver, sizeof driver);
    memcpy(machine.nvml, nvml, sizeof nvml);
    machine.cuda = number_of(words, "cuda", machine.cuda);
    machine.privileged = number_of(words, "privileged", 1);
    machine.latency_us = number_of(words, "latency_us", 0);
    machine.init_us = number_of(words, "init_us", 0);
    machine.init_code = number_of(words, "init", 0);
    machine.fresh_uuids = !strcmp(text_of(words, "mig_uuid", "stable"), "fresh");
    machine.next_serial = number_of(words, "next", 1);
}

static void read_gpu(const struct words *words)
{
    const struct model *model = find_model(text_of(words, "model", "a100-80"));
    if (machine.gpu_count == MAX_GPUS || !model) {
        fprintf(stderr, "fakenvml: too many GPUs, or no such model: %s\n",
                text_of(words, "model", "a100-80"));
        return;
    }
    int index = machine.gpu_count++;
    struct gpu *gpu = &machine.gpus[index];
    char text[96];
    gpu->model = model;
    snprintf(text, sizeof text, "GPU-5eed0000-fa4e-0000-0000-%012x", index);
    COPY_TEXT(gpu->uuid, "uuid", text);
    snprintf(text, sizeof text, "00000000:%02X:00.0", 7 + 8 * index);
    COPY_TEXT(gpu->pci, "pci", text);
    COPY_TEXT(gpu->serial, "serial", "1320000000000");
    COPY_TEXT(gpu->name, "name", model->name);
    gpu->minor = number_of(words, "minor", index);
    gpu->mig = number_of(words, "mig", 0);
    gpu->mig_pending = number_of(words, "pending", gpu->mig);
    gpu->lost = number_of(words, "lost", 0);
    gpu->util = number_of(words, "util", 0);
    gpu->memory_util = number_of(words, "mutil", 0);
    gpu->temperature = number_of(words, "temp", 33);
    gpu->fan = number_of(words, "fan", -1);
    gpu->milliwatts = number_of(words, "power", 62000);
    gpu->milliwatts_limit = number_of(words, "limit", model->watts * 1000);
    gpu->used_mib = number_of(words, "used", 0);
    gpu->sm_clock = number_of(words, "sm", 210);
    gpu->memory_clock = number_of(words, "memclk", 1215);
}

static void read_instance(const struct words *words, struct gpu *gpu)
{
    int profile = profile_by_id(gpu->model, number_of(words, "profile", 19));
    for (int i = 0; profile >= 0 && i < MAX_INSTANCES; i++) {
        struct gpu_instance *gi = &gpu->instances[i];
        if (gi->live)
            continue;
        gi->live = 1;
        gi->profile = profile;
        gi->id = number_of(words, "id", 7 + i);
        gi->start = number_of(words, "start", i);
        gi->serial = number_of(words, "n", 0);
        return;
    }
}

static void read_compute(const struct words *words, struct gpu *gpu)
{
    struct gpu_instance *gi = find_instance(gpu, number_of(words, "gi", -1));
    for (int i = 0; gi && i < MAX_INSTANCES; i++) {
        struct compute_instance *ci = &gi->compute[i];
        if (ci->live)
            continue;
        ci->live = 1;
        ci->id = number_of(words, "id", i);
        ci->profile = number_of(words, "profile", 0);
        if (ci->profile < 0 || ci->profile > 8)
            ci->profile = 0;
        ci->start = number_of(words, "start", 0);
        ci->serial = number_of(words, "n", 0);
        ci->index = number_of(words, "idx", -1);
        ci->used_mib = number_of(words, "used", 12);
        return;
    }
}

static void read_process(const struct words *words, struct gpu *gpu)
{
    if (gpu->process_count == MAX_PROCESSES)
        return;
    struct process *process = &gpu->processes[gpu->process_count++];
    process->pid = number_of(words, "pid", 1);
    process->used_mib = number_of(words, "used", 100);
    process->gi = number_of(words, "gi", NO_ID);
    process->ci = number_of(words, "ci", NO_ID);
    process->sm_util = number_of(words, "sm", 0);
    char kind = *text_of(words, "type", "C");
    process->kind = kind == 'G' ? GRAPHICS : kind == 'M' ? MPS : COMPUTE;
}

static void read_failure(const struct words *words)
{
    if (machine.failure_count == MAX_FAILURES)
        return;
    struct failure *failure = &machine.failures[machine.failure_count++];
    COPY_TEXT(failure->function, "fn", "*");
    failure->gpu = number_of(words, "gpu", -1);
    failure->code = number_of(words, "code", 0);
    failure->microseconds = number_of(words, "us", 0);
}

static void read_xid(const struct words *words)
{
    if (machine.xid_count == MAX_XIDS)
        return;
    struct xid *xid = &machine.xids[machine.xid_count++];
    xid->gpu = number_of(words, "gpu", 0) & (MAX_GPUS - 1);
    xid->code = number_of(words, "code", 79);
    xid->gi = number_of(words, "gi", NO_ID);
    xid->ci = number_of(words, "ci", NO_ID);
    xid->number = number_of(words, "seq", 1);
}

static void read_line(char *line)
{
    struct words words = split(line);
    if (!words.count)
        return;
    const char *kind = words.word[0];
    long index = number_of(&words, "gpu", -1);
    struct gpu *gpu = index >= 0 && index < machine.gpu_count ? &machine.gpus[index] : NULL;
    if (!strcmp(kind, "sys"))
        read_system(&words);
    else if (!strcmp(kind, "gpu"))
        read_gpu(&words);
    else if (!strcmp(kind, "fail"))
        read_failure(&words);
    else if (!strcmp(kind, "xid"))
        read_xid(&words);
    else if (!strcmp(kind, "gi") && gpu)
        read_instance(&words, gpu);
    else if (!strcmp(kind, "ci") && gpu)
        read_compute(&words, gpu);
    else if (!strcmp(kind, "proc") && gpu)
        read_process(&words, gpu);
}

static void set_defaults(void)
{
    memset(&machine, 0, sizeof machine);
    strcpy(machine.driver, "580.95.05");
    strcpy(machine.nvml, "13.580.95.05");
    machine.cuda = 13000;
    machine.privileged = 1;
    machine.next_serial = 1;
}

static int same_file(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           !memcmp(&a->st_mtim, &b->st_mtim, sizeof a->st_mtim);
}

void machine_load(int keep_if_missing)
{
    struct stat now;
    if (stat(machine_path(), &now)) {
        if (!keep_if_missing) {
            set_defaults();
            machine.init_code = NVML_ERROR_DRIVER_NOT_LOADED;
            memset(&seen, 0, sizeof seen);
        }
        return;
    }
    if (same_file(&now, &seen))
        return;
    FILE *file = fopen(machine_path(), "re");
    if (!file)
        return;
    fstat(fileno(file), &seen);
    set_defaults();
    char line[1024];
    while (fgets(line, sizeof line, file))
        read_line(line);
    fclose(file);
}

/* ---- writing ---- */

static void write_gpu(FILE *file, const struct gpu *gpu)
{
    fprintf(file, "gpu model=%s uuid=%s pci=%s serial=%s name=\"%s\" minor=%d mig=%d pending=%d",
            gpu->model->key, gpu->uuid, gpu->pci, gpu->serial, gpu->name, gpu->minor, gpu->mig,
            gpu->mig_pending);
    fprintf(file, " lost=%d util=%d mutil=%d temp=%d fan=%d", gpu->lost, gpu->util,
            gpu->memory_util, gpu->temperature, gpu->fan);
    fprintf(file, " power=%u limit=%u used=%u sm=%u memclk=%u\n", gpu->milliwatts,
            gpu->milliwatts_limit, gpu->used_mib, gpu->sm_clock, gpu->memory_clock);
}

static void write_contents(FILE *file, int index, const struct gpu *gpu)
{
    for (int i = 0; i < MAX_INSTANCES; i++) {
        const struct gpu_instance *gi = &gpu->instances[i];
        if (!gi->live)
            continue;
        fprintf(file, "gi gpu=%d id=%d profile=%d start=%d n=%u\n", index, gi->id,
                gpu->model->shapes[gi->profile].id, gi->start, gi->serial);
        for (int c = 0; c < MAX_INSTANCES; c++) {
            const struct compute_instance *ci = &gi->compute[c];
            if (ci->live)
                fprintf(file, "ci gpu=%d gi=%d id=%d profile=%d start=%d n=%u idx=%d used=%u\n",
                        index, gi->id, ci->id, ci->profile, ci->start, ci->serial, ci->index,
                        ci->used_mib);
        }
    }
    for (int i = 0; i < gpu->process_count; i++) {
        const struct process *p = &gpu->processes[i];
        fprintf(file, "proc gpu=%d pid=%u used=%d sm=%u type=%c gi=%d ci=%d\n", index, p->pid,
                (int)p->used_mib, p->sm_util, "CGM"[p->kind], (int)p->gi, (int)p->ci);
    }
}

void machine_save(void)
{
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.c%d", machine_path(), (int)getpid());
    FILE *file = fopen(fresh, "we");
    if (!file)
        return;
    fprintf(file, "sys driver=%s nvml=%s cuda=%d privileged=%d latency_us=%u init_us=%u init=%d",
            machine.driver, machine.nvml, machine.cuda, machine.privileged, machine.latency_us,
            machine.init_us, machine.init_code);
    fprintf(file, " mig_uuid=%s next=%u\n", machine.fresh_uuids ? "fresh" : "stable",
            machine.next_serial);
    for (int i = 0; i < machine.gpu_count; i++)
        write_gpu(file, &machine.gpus[i]);
    for (int i = 0; i < machine.gpu_count; i++)
        write_contents(file, i, &machine.gpus[i]);
    for (int i = 0; i < machine.failure_count; i++) {
        const struct failure *f = &machine.failures[i];
        fprintf(file, "fail fn=%s gpu=%d code=%d us=%d\n", f->function, f->gpu, f->code,
                f->microseconds);
    }
    for (int i = 0; i < machine.xid_count; i++) {
        const struct xid *x = &machine.xids[i];
        fprintf(file, "xid gpu=%d code=%u gi=%d ci=%d seq=%lu\n", x->gpu, x->code, (int)x->gi,
                (int)x->ci, x->number);
    }
    fclose(file);
    rename(fresh, machine_path());
    stat(machine_path(), &seen);
}
