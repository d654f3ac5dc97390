/* Private to report: pictures of a run's metrics. */
#ifndef VGG11_REPORT_PLOTS_H
#define VGG11_REPORT_PLOTS_H

/* Draws <folder>/plots/{loss,accuracy,learning-rate,throughput}.svg from <folder>/metrics.jsonl with gnuplot. Does nothing
 * where the metrics hold no step, says so in a line where gnuplot is not installed, and warns where it does not succeed: pictures can be
 * made later. */
void plots_draw(const char *folder);

#endif
