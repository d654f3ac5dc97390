#include "vgg11/base/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/cgroup.h"
#include "vgg11/base/log.h"

enum { CPU_MASK_BITS = 16384 };

#if defined(__x86_64__)
/* A bit of leaf 7's EDX, which not every compiler's <cpuid.h> names. */
enum { CPUID_AMX_BF16 = 1 << 22, ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };

/* Clang 14 does not know matrix tiles by name. Tile data is granted on request, per process, and only where the processor has tiles and
 * the kernel saves them on a task switch (Linux, Documentation/x86/xstate.rst). */
static bool has_tiles(void)
{
    unsigned eax, ebx, ecx, edx = 0;
    bool known = __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (edx & CPUID_AMX_BF16);
    return known && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* The compiler asks whether the kernel saves these registers, too. */
static cpu_features test_features(void)
{
    cpu_features found = {0};
    __builtin_cpu_init();
    found.sse42 = __builtin_cpu_supports("sse4.2");
    found.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    found.avx512 = found.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    found.avx512_bf16 = found.avx512 && __builtin_cpu_supports("avx512bf16");
    found.amx_bf16 = found.avx512 && has_tiles();
    return found;
}
#else
static cpu_features test_features(void) { return (cpu_features){0}; }
#endif

/* Levels of VGG11_CPU: each row is the most that it leaves. */
static const struct {
    const char *name;
    cpu_features most;
} levels[] = {
    {"portable", {0}},
    {"avx2", {.sse42 = true, .avx2 = true}},
    {"avx512", {.sse42 = true, .avx2 = true, .avx512 = true}},
    {"avx512_bf16", {.sse42 = true, .avx2 = true, .avx512 = true, .avx512_bf16 = true}},
    {"amx_bf16", {.sse42 = true, .avx2 = true, .avx512 = true, .avx512_bf16 = true, .amx_bf16 = true}},
};

static void lower_to(cpu_features *features, const cpu_features *most)
{
    features->sse42 &= most->sse42;
    features->avx2 &= most->avx2;
    features->avx512 &= most->avx512;
    features->avx512_bf16 &= most->avx512_bf16;
    features->amx_bf16 &= most->amx_bf16;
}

static void lower_by_environment(cpu_features *features)
{
    const char *asked = getenv("VGG11_CPU");
    if (!asked || !*asked) return;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (strcmp(asked, levels[i].name) == 0) {
            lower_to(features, &levels[i].most);
            return;
        }
    vgg_log(VGG_LOG_WARNING,
            "VGG11_CPU=%s is not a known level and is ignored; known: portable, avx2, avx512, avx512_bf16, "
            "amx_bf16",
            asked);
}

static cpu_features detected;
static char model_name[128] = "unknown";

static void detect_once(void)
{
    detected = test_features();
    lower_by_environment(&detected);
}

const cpu_features *cpu_detect(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, detect_once);
    return &detected;
}

static void read_model_name(void)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (!file) return;
    char line[512];
    while (fgets(line, sizeof line, file)) {
        char *value = strchr(line, ':');
        if (!value || strncmp(line, "model name", 10) != 0) continue;
        value += 1 + strspn(value + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        if (*value) snprintf(model_name, sizeof model_name, "%s", value);
        break;
    }
    fclose(file);
}

const char *cpu_model_name(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_model_name);
    return model_name;
}

/* The process' mask, not the calling thread's: OpenMP may have bound that one to a single processor. */
static bool read_mask(cpu_set_t *mask)
{
    memset(mask, 0, CPU_ALLOC_SIZE(CPU_MASK_BITS));
    return sched_getaffinity(getpid(), CPU_ALLOC_SIZE(CPU_MASK_BITS), mask) == 0;
}

#define MASK_WORDS (CPU_MASK_BITS / CPU_SETSIZE)

static bool in_mask(const cpu_set_t *mask, int cpu)
{
    return cpu < CPU_MASK_BITS && CPU_ISSET_S(cpu, CPU_ALLOC_SIZE(CPU_MASK_BITS), mask);
}

void cpu_allowed_list(char *text, size_t text_bytes)
{
    cpu_set_t mask[MASK_WORDS];
    size_t used = 0;
    if (text_bytes == 0) return;
    text[0] = '\0';
    if (!read_mask(mask)) return;
    for (int first = 0; first < CPU_MASK_BITS && used + 1 < text_bytes; first++) {
        if (!in_mask(mask, first)) continue;
        int last = first;
        while (in_mask(mask, last + 1)) last++;
        const char *comma = used > 0 ? "," : "";
        int wrote = last > first ? snprintf(text + used, text_bytes - used, "%s%d-%d", comma, first, last)
                                 : snprintf(text + used, text_bytes - used, "%s%d", comma, first);
        used += (size_t)wrote;
        first = last;
    }
}

/* One word of a file of /sys/devices/system/cpu/cpu0/cache/index<index>; "" if there is none. */
static void read_cache_word(int index, const char *name, char word[32])
{
    char path[128];
    word[0] = '\0';
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
    FILE *file = fopen(path, "r");
    if (!file) return;
    if (fscanf(file, "%31s", word) != 1) word[0] = '\0';
    fclose(file);
}

size_t cpu_cache_bytes(int level)
{
    for (int index = 0; index < 16; index++) {
        char level_word[32], type[32], size[32], unit = 0;
        unsigned long count = 0;
        read_cache_word(index, "level", level_word);
        read_cache_word(index, "type", type);
        read_cache_word(index, "size", size);
        if (atoi(level_word) != level || level < 1 || strcmp(type, "Instruction") == 0) continue;
        if (sscanf(size, "%lu%c", &count, &unit) < 1) return 0;
        return (size_t)count << (unit == 'K' ? 10 : unit == 'M' ? 20 : 0);
    }
    return 0;
}

#define CGROUP_FOLDERS "/proc", "/sys/fs/cgroup"

double cpu_quota(void) { return cgroup_cpu_quota(CGROUP_FOLDERS); }

size_t cpu_memory_available_bytes(void)
{
    size_t machine = (size_t)proc_read_number("/proc/meminfo", "MemAvailable:", 0) << 10;
    size_t group = cgroup_memory_left_bytes(CGROUP_FOLDERS);
    return group < machine ? group : machine;
}

size_t cpu_address_space_left_bytes(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    size_t used = (size_t)proc_read_number("/proc/self/status", "VmSize:", 0) << 10;
    return used < limit.rlim_cur ? limit.rlim_cur - used : 0;
}

/* VmHWM rather than getrusage(): ru_maxrss of a program started by a larger one begins at that one's size. */
size_t cpu_memory_peak_bytes(void)
{
    size_t peak = (size_t)proc_read_number("/proc/self/status", "VmHWM:", 0) << 10;
    if (peak > 0) return peak;
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss << 10 : 0;
}
