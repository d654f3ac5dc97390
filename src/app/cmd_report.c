/* report: a run as one HTML page. */
#include <stdio.h>
#include <sys/stat.h>

#include "app/command.h"
#include "app/commands.h"
#include "app/run_lock.h"
#include "vgg11/base/file.h"
#include "vgg11/base/log.h"
#include "vgg11/report/html_report.h"

/* A page takes the place of a page: what a device or a folder is for, is not lost. */
static vgg_status check_place(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0 || S_ISREG(facts.st_mode)) return VGG_OK;
    return vgg_fail(VGG_IO_ERROR, "%s: is no file that a page could replace", path);
}

vgg_status cmd_report(comm *c, const options *o)
{
    (void)c;
    const char *folder = o->arguments[0];
    char page[FILE_PATH_MAX];
    if (!file_is_folder(folder)) return vgg_fail(VGG_IO_ERROR, "report: %s: there is no such run folder", folder);
    if (snprintf(page, sizeof page, "%s/report.html", folder) >= (int)sizeof page)
        return vgg_fail(VGG_IO_ERROR, "report: %s: name of the run folder is too long", folder);
    const char *path = o->html ? o->html : page;
    VGG_TRY(check_place(path));
    VGG_TRY(html_report_write(folder, path, run_lock_is_held(folder)));
    vgg_log(VGG_LOG_INFO, "wrote %s", path);
    return VGG_OK;
}
