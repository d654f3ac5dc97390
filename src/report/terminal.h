/* Private to report: the terminal that standard error ends up on. */
#ifndef VGG11_REPORT_TERMINAL_H
#define VGG11_REPORT_TERMINAL_H

/* A descriptor of the terminal that shows this process' standard error, or -1 if there is none that can redraw a line.
 * A rank's standard error is a pipe to mpirun, so that the launcher's own terminal counts as well. terminal_close() closes. */
int terminal_open(void);
void terminal_close(int terminal);

/* Columns of the terminal now; 80 if it does not say, or terminal is -1. */
int terminal_columns(int terminal);

#endif
