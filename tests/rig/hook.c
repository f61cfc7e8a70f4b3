/* A stand-in for NVIDIA's nvidia-container-runtime-hook.
 *
 * Docker looks for a program of that name on its PATH and, when it is there, accepts requests for
 * GPUs and has the program called before each such container starts. NVIDIA's own would put the
 * devices into the container; this one writes down what it was asked for: one JSON line in
 * ../hook.jsonl beside its own directory. It is in C because a container start must not pay for an
 * interpreter's start.
 *
 * A file ../hook-fail/<device> makes the start of any container with that device fail with the
 * message NVIDIA's own gives for a device it does not know.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VARIABLE "NVIDIA_VISIBLE_DEVICES="

static char *slurp(int fd)
{
    size_t used = 0, room = 65536;
    char *text = malloc(room);
    for (ssize_t got; text && (got = read(fd, text + used, room - used - 1)) > 0;) {
        used += (size_t)got;
        if (room - used < 2)
            text = realloc(text, room *= 2);
    }
    if (text)
        text[used] = 0;
    return text;
}

/* The end of a JSON string whose first character (after the quote) is at `at`. */
static const char *string_end(const char *at)
{
    while (*at && *at != '"')
        at += at[0] == '\\' && at[1] ? 2 : 1;
    return at;
}

/* Copy the string value of a top-level key. The text stays JSON-escaped: it goes into JSON again.
 * Inside any string a quote is escaped, so `"key":"` cannot be found within a value. */
static void value_of(const char *json, const char *key, char *out, size_t size)
{
    char pattern[64];
    snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *at = strstr(json, pattern);
    out[0] = 0;
    if (at) {
        at += strlen(pattern);
        snprintf(out, size, "%.*s", (int)(string_end(at) - at), at);
    }
}

/* Join every NVIDIA_VISIBLE_DEVICES of the container's environment as JSON strings: an image's own
 * value may stand before the one that was asked for, and which of them wins is worth a test. */
static void visible_devices(const char *config, char *out, size_t size)
{
    size_t used = 0;
    const char *at = strstr(config, "\"env\":[");
    out[0] = 0;
    at = at ? at + strlen("\"env\":[") : "";
    while (*at == '"') {
        const char *end = string_end(++at);
        if (!strncmp(at, VARIABLE, strlen(VARIABLE)) && used < size) {
            at += strlen(VARIABLE);
            used += (size_t)snprintf(out + used, size - used, "%s\"%.*s\"", used ? "," : "",
                                     (int)(end - at), at);
        }
        at = *end ? end + 1 : end;
        if (*at == ',')
            at++;
    }
}

static int refused(const char *root, const char *devices)
{
    char list[8192], path[PATH_MAX], *rest = list;
    snprintf(list, sizeof list, "%s", devices);
    for (char *device; (device = strsep(&rest, ",\""));) {
        if (!*device || strchr(device, '/'))
            continue;
        snprintf(path, sizeof path, "%s/hook-fail/%s", root, device);
        if (!access(path, F_OK)) {
            fprintf(stderr, "nvidia-container-cli: device error: %s: unknown device\n", device);
            return 1;
        }
    }
    return 0;
}

int main(void)
{
    char root[PATH_MAX - 64], bundle[PATH_MAX - 64], path[PATH_MAX], id[256];
    static char devices[8192], line[16384];
    ssize_t length = readlink("/proc/self/exe", root, sizeof root - 1);
    if (length < 0)
        return 1;
    root[length] = 0;
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(root, '/');
        if (slash)
            *slash = 0;
    }

    char *state = slurp(STDIN_FILENO);
    if (!state)
        return 1;
    value_of(state, "id", id, sizeof id);
    value_of(state, "bundle", bundle, sizeof bundle);

    snprintf(path, sizeof path, "%s/config.json", bundle);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *config = fd < 0 ? NULL : slurp(fd);
    if (!config) {
        fprintf(stderr, "no configuration in the bundle %s\n", bundle);
        return 1;
    }
    visible_devices(config, devices, sizeof devices);

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int size = snprintf(line, sizeof line, "{\"id\":\"%s\",\"devices\":[%s],\"time\":%lld.%06ld}\n", id,
                        devices, (long long)now.tv_sec, now.tv_nsec / 1000);
    snprintf(path, sizeof path, "%s/hook.jsonl", root);
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    /* One write to a file opened for appending: lines of hooks that run at once never mix. */
    if (log < 0 || write(log, line, (size_t)size) != size)
        return 1;
    return refused(root, devices);
}
