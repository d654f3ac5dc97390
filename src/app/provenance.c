#include "app/provenance.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "app/build_info.h"
#include "app/commit.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/cpu.h"

enum { HOSTS_BYTES = 1024, DIRECTORY_BYTES = 4096 };

typedef struct {
    const char *name;
    const char *file;    /* its shared object's name begins so */
    const char *version; /* found when building; "" if it was not */
} library_info;

#define LIBRARY(name, file, version) {name, file, version},
static const library_info libraries[] = {VGG11_LIBRARIES(LIBRARY){NULL, NULL, NULL}};

/* For dl_iterate_phdr(): stops at the object whose file name begins with `data`. */
static int matches_object(struct dl_phdr_info *object, size_t bytes, void *data)
{
    (void)bytes;
    const char *slash = strrchr(object->dlpi_name, '/'), *prefix = data;
    return strncmp(slash ? slash + 1 : object->dlpi_name, prefix, strlen(prefix)) == 0;
}

/* The version of a library that is in this process; "" for one that is not, whatever the build found. */
static const char *loaded_version(const library_info *library)
{
    if (!dl_iterate_phdr(matches_object, (void *)library->file)) return "";
    return *library->version ? library->version : "(version unknown)";
}

bool provenance_library(int index, const char **name, const char **version)
{
    const library_info *library = &libraries[index];
    if (!library->name) return false;
    *name = library->name;
    *version = loaded_version(library);
    return true;
}

const char *provenance_commit(void) { return *VGG11_COMMIT ? VGG11_COMMIT : NULL; }

json_t *provenance_libraries(void)
{
    json_t *found = json_object();
    bool whole = found != NULL;
    const char *name, *version;
    for (int i = 0; whole && provenance_library(i, &name, &version); i++)
        whole = json_object_set_new(found, name, *version ? json_string(version) : json_null()) == 0;
    if (whole) return found;
    json_decref(found);
    return NULL;
}

/* The words of the command, as the kernel keeps them. NULL without memory. */
static json_t *command_line(void)
{
    json_t *words = json_array();
    FILE *file = fopen("/proc/self/cmdline", "re");
    char *word = NULL;
    size_t capacity = 0;
    while (file && words && getdelim(&word, &capacity, '\0', file) > 0) {
        json_t *text = json_string(word);
        json_array_append_new(words, text ? text : json_string("(not UTF-8)"));
    }
    free(word);
    if (file) fclose(file);
    return words;
}

/* NULL for a name that is not UTF-8, which JSON cannot hold. */
static json_t *working_directory(void)
{
    char directory[DIRECTORY_BYTES];
    return getcwd(directory, sizeof directory) ? json_string(directory) : NULL;
}

/* "Slurm 1234"; NULL outside of a batch system's job. */
static json_t *batch_job(void)
{
    static const char *const systems[][2] = {{"Slurm", "SLURM_JOB_ID"}, {"PBS", "PBS_JOBID"},    {"LSF", "LSB_JOBID"},
                                             {"OAR", "OAR_JOB_ID"},     {"Flux", "FLUX_JOB_ID"}, {"Grid Engine", "JOB_ID"}};
    for (size_t i = 0; i < sizeof systems / sizeof systems[0]; i++) {
        const char *id = getenv(systems[i][1]);
        if (id && *id) return json_sprintf("%s %s", systems[i][0], id);
    }
    return NULL;
}

static json_t *describe(comm *c, const char *hosts)
{
    char build[BUILD_ID_MAX], now[CLOCK_UTC_MAX];
    struct utsname system = {.release = "unknown"};
    build_id(build);
    uname(&system);
    return json_pack("{s:s, s:s?, s:s, s:s, s:s, s:o, s:o*, s:s, s:i, s:i, s:s, s:s, s:s, s:o, s:o*, s:s}", "version",
                     VGG11_VERSION, "commit", provenance_commit(), "build", build, "build_type", VGG11_BUILD_TYPE, "compiler",
                     VGG11_COMPILER, "command_line", command_line(), "directory", working_directory(), "hosts", hosts, "ranks",
                     comm_size(c), "nodes", comm_node_count(c), "processor", cpu_model_name(), "kernel", system.release, "mpi",
                     comm_library_version(c), "libraries", provenance_libraries(), "job", batch_job(), "time", clock_utc(now));
}

vgg_status provenance_gather(comm *c, char **json)
{
    char hosts[HOSTS_BYTES];
    *json = NULL;
    VGG_TRY(comm_join_texts(c, comm_host(c), hosts, sizeof hosts));
    if (comm_rank(c) == 0) {
        json_t *object = describe(c, hosts);
        *json = object ? json_dumps(object, JSON_COMPACT) : NULL;
        json_decref(object);
    }
    bool lacking = comm_rank(c) == 0 && !*json;
    return comm_agree(c, lacking ? vgg_fail(VGG_UNAVAILABLE, "not enough memory to describe the run") : VGG_OK);
}
