/* vgg11_dist: reads the options, opens the communicator, runs the command, prints the one error line. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/build_info.h"
#include "app/command.h"
#include "app/options/options.h"
#include "vgg11/base/build_id.h"
#include "vgg11/base/log.h"
#include "vgg11/train/stop_signal.h"
#include "vgg11/train/watchdog.h"

/* Before the libraries' own initialisers, which take a while: a signal that comes from here on waits until main() knows what to
 * do with it. */
__attribute__((section(".preinit_array"), used)) static void (*hold_signals)(void) = stop_signal_hold;

/* With a standard descriptor closed, the next file opened would take its number, and messages would go into it. */
static void reserve_standard_files(void)
{
    int descriptor;
    do descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor > STDERR_FILENO) close(descriptor);
}

/* Where MPI could not start, ranks cannot agree on who says so: the first of a node that leaves a file in mpirun's own folder, which goes
 * with the job. */
static bool is_first_to_tell(void)
{
    const char *folder = getenv("PMIX_SERVER_TMPDIR");
    char path[4096];
    if (!folder) return true;
    snprintf(path, sizeof path, "%s/vgg11_dist-told", folder);
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
    return file >= 0 || errno != EEXIST;
}

static void print_text(const options *o)
{
    if (o->help)
        options_print_help(o, stdout);
    else
        puts("vgg11_dist " VGG11_VERSION);
}

static vgg_status check_output(void)
{
    return fflush(stdout) == 0 ? VGG_OK : vgg_fail_errno(VGG_IO_ERROR, "standard output: cannot write");
}

/* Unlike builds may do unlike things after each other, and wait for one another. */
static vgg_status agree_on_build(comm *c)
{
    char id[BUILD_ID_MAX];
    build_id(id);
    return comm_agree_text(c, "the program's build", id);
}

/* What a write cannot do any more, its error says: a reader that went away, a file that may not grow. */
static void ignore_failed_writes(void)
{
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static vgg_status watch(const options *o)
{
    if (o->command->bit == COMMAND_TRAIN)
        stop_signal_watch();
    else
        stop_signal_release();
    return watchdog_start(o->command->bit & (COMMAND_TRAIN | COMMAND_EVAL) ? o->hang_timeout : 0);
}

static vgg_status check_ranks(const comm *c, const command_row *command)
{
    if (!command->one_rank || comm_size(c) == 1) return VGG_OK;
    return vgg_fail(VGG_BAD_OPTION, "%s: %s as one rank, and %d were started; call it without mpirun", command->name,
                    command->one_rank, comm_size(c));
}

static vgg_status run(comm *c, options *o)
{
    VGG_TRY(agree_on_build(c));
    VGG_TRY(options_agree(c, o)); /* before any is looked at: ranks that were asked for unlike things would wait for each other */
    if (o->help || o->version) {
        if (comm_rank(c) == 0) print_text(o);
        return VGG_OK;
    }
    vgg_log_configure(o->quiet ? VGG_LOG_WARNING : o->verbose ? VGG_LOG_DEBUG : VGG_LOG_INFO, comm_rank(c) == 0);
    VGG_TRY(options_choose_precision(c, o));
    options_tell(o);
    if (o->command->bit != COMMAND_INFO) VGG_TRY(comm_check_launcher(c));
    VGG_TRY(check_ranks(c, o->command));
    watchdog_join(c);
    vgg_status status = o->command->run(c, o);
    watchdog_enter(WATCHDOG_END);
    watchdog_part();
    return status;
}

/* Who was started alone has nobody to agree with: what is only to be told needs no MPI, which a bare environment keeps from starting. */
static bool tells_alone(const options *o, vgg_status parsed)
{
    return comm_launched_rank() < 0 && (parsed != VGG_OK || o->help || o->version);
}

static vgg_status tell_alone(options *o, vgg_status parsed)
{
    if (parsed == VGG_OK) {
        print_text(o);
        parsed = check_output();
    }
    if (parsed != VGG_OK) vgg_log(VGG_LOG_ERROR, "%s", vgg_message());
    options_clear(o);
    return parsed;
}

int main(int argc, char **argv)
{
    reserve_standard_files();
    ignore_failed_writes();
    options o;
    vgg_status parsed = options_parse(argc, argv, &o);
    if (tells_alone(&o, parsed)) {
        stop_signal_release();
        return tell_alone(&o, parsed);
    }
    if (parsed == VGG_OK)
        parsed = watch(&o);
    else
        stop_signal_release();
    comm *c;
    vgg_status status = comm_open(&argc, &argv, &c);
    if (status != VGG_OK) {
        if (is_first_to_tell()) vgg_log(VGG_LOG_ERROR, "%s", vgg_message());
        options_clear(&o);
        return status;
    }
    vgg_log_configure(VGG_LOG_INFO, comm_rank(c) == 0);
    status = comm_agree(c, parsed);
    if (status == VGG_OK) status = run(c, &o);
    options_clear(&o);
    if (status == VGG_OK) status = check_output();
    status = comm_agree(c, status);
    if (status != VGG_OK) vgg_log(VGG_LOG_ERROR, "%s", vgg_message());
    comm_close(c);
    watchdog_stop();
    return status;
}
