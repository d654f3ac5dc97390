/* Progress on standard error: a bar on a terminal, plain lines elsewhere. Rank 0 only. */
#ifndef VGG11_REPORT_PROGRESS_H
#define VGG11_REPORT_PROGRESS_H

#include "vgg11/base/run_events.h"
#include "vgg11/base/status.h"

typedef struct progress progress;

typedef struct {
    const char *name;
    const char *good_when;
} progress_entry;

/* Ended by NULL: auto, bar, plain, none. */
extern const progress_entry progress_styles[];

/* `style` is one of the table's names: auto is bar if standard error is a terminal, plain otherwise. The caller closes. */
vgg_status progress_open(const char *style, progress **out);
void progress_close(progress *p);
run_observer progress_observer(progress *p);

#endif
