/* Private to report: pictures of a run's metrics. */
#ifndef VGG11_REPORT_PLOTS_H
#define VGG11_REPORT_PLOTS_H

/* Draws <folder>/plots/{loss,accuracy,learning-rate,throughput}.svg from <folder>/metrics.jsonl with gnuplot. Does nothing
 * where gnuplot is not installed, the metrics hold no step, or the folder cannot be written: pictures can be made later. */
void plots_draw(const char *folder);

#endif
