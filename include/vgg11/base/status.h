/* Status codes and the one error message that goes with them.
 *
 * A function that can fail returns vgg_status. On failure it has called vgg_fail(), which keeps one line of text for the
 * calling thread; whoever ends the process prints it once. The codes are the exit codes of the program.
 */
#ifndef VGG11_BASE_STATUS_H
#define VGG11_BASE_STATUS_H

/* X(symbol, exit code, meaning) */
#define VGG_STATUS_LIST(X)                                            \
    X(VGG_OK, 0, "done")                                              \
    X(VGG_ERROR, 1, "failed")                                         \
    X(VGG_BAD_OPTION, 2, "bad option or configuration")               \
    X(VGG_BAD_DATA, 3, "bad data set")                                \
    X(VGG_BAD_CHECKPOINT, 4, "no usable checkpoint")                  \
    X(VGG_IO_ERROR, 5, "file or system error")                        \
    X(VGG_DIVERGED, 6, "training diverged")                           \
    X(VGG_DISAGREE, 7, "ranks disagree")                              \
    X(VGG_HUNG, 8, "no progress, or the launcher is gone")            \
    X(VGG_UNAVAILABLE, 9, "this machine cannot do it")                \
    X(VGG_FOUND, 10, "doctor found a fault, compare a difference")    \
    X(VGG_STOPPED, 75, "stopped by a signal with a checkpoint saved") \
    X(VGG_DECLINED, 100, "a table row declined; never an exit code")

typedef enum {
#define VGG_STATUS_ENUM(symbol, code, text) symbol = code,
    VGG_STATUS_LIST(VGG_STATUS_ENUM)
#undef VGG_STATUS_ENUM
} vgg_status;

enum { VGG_MESSAGE_MAX = 1024 };

/* Records the formatted line (no newline, at most VGG_MESSAGE_MAX - 1 bytes) for this thread and returns `status`. */
vgg_status vgg_fail(vgg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As vgg_fail(), with ": strerror(errno)" added. Without memory (ENOMEM) it is VGG_UNAVAILABLE, whatever `status` says: the file that
 * was to be opened is no worse for it. */
vgg_status vgg_fail_errno(vgg_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line of this thread's last vgg_fail(); "" if there was none. Valid until the next vgg_fail(). */
const char *vgg_message(void);

/* The line put aside while things are closed, which may fail as well: the first error is the one shown. */
typedef struct {
    char text[VGG_MESSAGE_MAX];
} vgg_kept_message;

vgg_kept_message vgg_keep_message(void);
void vgg_restore_message(const vgg_kept_message *kept);

/* Returns from the enclosing function if `expression` does not give VGG_OK. */
#define VGG_TRY(expression)                                  \
    do {                                                     \
        vgg_status vgg_try_status = (expression);            \
        if (vgg_try_status != VGG_OK) return vgg_try_status; \
    } while (0)

#endif
