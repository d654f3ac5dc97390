/* Levelled messages on standard error. One line per call, written by one write(2), so that ranks do not interleave. */
#ifndef VGG11_BASE_LOG_H
#define VGG11_BASE_LOG_H

typedef enum { VGG_LOG_ERROR, VGG_LOG_WARNING, VGG_LOG_INFO, VGG_LOG_DEBUG } vgg_log_level;

/* Messages above `level` are dropped. `speaks` is false on ranks that keep silent (all but rank 0). Default: INFO, true. */
void vgg_log_configure(vgg_log_level level, int speaks);

/* Called before a line is written, so that a progress bar can clear its own; NULL for none. */
void vgg_log_before(void (*hook)(void));

void vgg_log(vgg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
