//! The progress line. Owns when it is drawn and what it says; a library (`indicatif`) draws it, into memory.

use super::style::span;
use super::terminal::Surroundings;
use crate::config::{Output, When};
use crate::pool::Stats;
use crate::time::Time;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// At most ten times a second; the eye asks for no more.
const REDRAW: Duration = Duration::from_millis(100);
/// A run shorter than this shows no line at all.
const FIRST_DRAW: Duration = Duration::from_millis(300);
/// Columns of the bar; on a narrow terminal it has fewer, and none rather than less than the least.
const BAR_COLUMNS: usize = 24;
const BAR_COLUMNS_MIN: usize = 8;
/// The last columns stay free: for the `^Z` or `^C` that the terminal writes behind the line, which would break into a second
/// one that nobody wipes, and for a cursor that wraps.
const SPARE_COLUMNS: u16 = 3;
/// Columns around the bar: its brackets and a blank.
const BAR_FRAME: usize = 3;
/// The rate is that of about the last so many seconds.
const RATE_SECONDS: f64 = 10.0;

/// Draws the progress line when it is due.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    canvas: Canvas,
    due: Time,
    /// Columns of the bar as it is; 0 without one.
    columns: usize,
    /// The list is typed where the line would be drawn.
    is_typed: bool,
    rate: Rate,
}

impl Progress {
    /// A progress line, where one is wanted and makes sense.
    pub(super) fn new(output: &Output, around: &Surroundings) -> Option<Self> {
        let makes_sense = around.stderr_is_terminal && !around.is_dumb && !around.is_ci && !output.volume.is_quiet();
        let is_wanted = match output.progress {
            When::Always => true,
            When::Never => false,
            When::Auto => makes_sense,
        };
        let is_typed = around.is_list_typed && output.progress != When::Always;
        is_wanted.then(|| Progress { is_typed, ..Self::with_width(around.width) })
    }

    fn with_width(width: fn() -> u16) -> Self {
        let canvas = Canvas { bytes: Arc::default(), width };
        let target = ProgressDrawTarget::term_like(Box::new(canvas.clone()));
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style("{wide_msg}"));
        let (due, rate) = (Time::ZERO.after(FIRST_DRAW), Rate::default());
        Progress { bar, canvas, due, columns: 0, is_typed: false, rate }
    }

    /// When the line is to be drawn next.
    pub(super) fn due(&self) -> Time {
        self.due
    }

    /// The line as it is now, without a line end; empty where it would stand between the words that somebody types.
    pub(super) fn draw(&mut self, stats: &Stats, now: Time) -> Vec<u8> {
        self.due = now.after(REDRAW);
        self.rate.update(stats.done(), now);
        if self.is_typed && !stats.input_closed {
            return Vec::new();
        }
        let width = usize::from(self.canvas.width());
        let message = self.message(stats, width);
        self.lay_out(if stats.input_closed { width.saturating_sub(message.len() + BAR_FRAME) } else { 0 });
        self.bar.set_length(stats.accepted);
        self.bar.set_position(stats.done() + stats.before);
        self.bar.set_message(message);
        // Setting has drawn as well; only the last drawing counts.
        self.canvas.take();
        self.bar.force_draw();
        let mut line = self.canvas.take();
        line.truncate(line.trim_ascii_end().len());
        line
    }

    /// Gives the bar the columns that are left for it.
    fn lay_out(&mut self, room: usize) {
        let columns = if room < BAR_COLUMNS_MIN { 0 } else { room.min(BAR_COLUMNS) };
        if columns != self.columns {
            self.columns = columns;
            self.bar.set_style(match columns {
                0 => style("{wide_msg}"),
                columns => style(&format!("[{{bar:{columns}}}] {{wide_msg}}")),
            });
        }
    }

    /// The figures, as many of them as fit: one that is cut would be another figure.
    fn message(&self, stats: &Stats, width: usize) -> String {
        let mut text = String::new();
        for figure in self.figures(stats) {
            let gap = if text.is_empty() { "" } else { "  " };
            if text.len() + gap.len() + figure.len() > width {
                break;
            }
            text.push_str(gap);
            text.push_str(&figure);
        }
        text
    }

    /// What there is to say, the weightiest first.
    fn figures(&self, stats: &Stats) -> Vec<String> {
        let has_total = stats.input_closed;
        let mut figures = vec![match has_total {
            true => format!("{}/{}", stats.done() + stats.before, stats.accepted),
            false => format!("{} done", stats.done()),
        }];
        figures.push(format!("{} running", stats.running));
        if stats.not_ok() > 0 {
            figures.push(format!("{} not ok", stats.not_ok()));
        }
        if stats.done() > 0 {
            figures.push(self.rate.text());
        }
        let left = stats.accepted.saturating_sub(stats.done() + stats.before);
        if let Some(eta) = self.rate.time_for(left).filter(|_| has_total && left > 0) {
            let eta = if eta.as_secs() < 60 { format!("{} s", eta.as_secs()) } else { span(eta) };
            figures.push(format!("ETA {eta}"));
        }
        figures
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates above are well formed");
    style.progress_chars("=> ")
}

/// Jobs a second, of which old ones count less and less.
#[derive(Debug, Default)]
struct Rate {
    done: u64,
    at: Time,
    per_second: f64,
    weight: f64,
}

impl Rate {
    fn update(&mut self, done: u64, now: Time) {
        let seconds = now.since(self.at).as_secs_f64();
        if seconds <= 0.0 {
            return;
        }
        let keep = (-seconds / RATE_SECONDS).exp();
        let current = (done - self.done) as f64 / seconds;
        self.per_second = self.per_second * keep + current * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        (self.done, self.at) = (done, now);
    }

    /// Without its weight the rate would begin at nothing and creep up.
    fn value(&self) -> f64 {
        if self.weight > 0.0 { self.per_second / self.weight } else { 0.0 }
    }

    fn text(&self) -> String {
        let value = self.value();
        if value >= 10.0 {
            format!("{value:.0}/s")
        } else if value >= 1.0 {
            format!("{value:.1}/s")
        } else {
            format!("{:.1}/min", value * 60.0)
        }
    }

    fn time_for(&self, jobs: u64) -> Option<Duration> {
        let seconds = jobs as f64 / self.value();
        Duration::try_from_secs_f64(seconds.ceil()).ok()
    }
}

/// A terminal of one line, in memory. It never fails and never waits; the real one is written to by an edge.
#[derive(Debug, Clone)]
struct Canvas {
    bytes: Arc<Mutex<Vec<u8>>>,
    width: fn() -> u16,
}

impl Canvas {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl TermLike for Canvas {
    fn width(&self) -> u16 {
        (self.width)().saturating_sub(SPARE_COLUMNS).max(1)
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let clean = text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend(clean);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        drop(self.take());
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Volume;

    fn at(seconds: u64) -> Time {
        Time::ZERO.after(Duration::from_secs(seconds))
    }

    fn draw(progress: &mut Progress, stats: &Stats, now: Time) -> String {
        String::from_utf8(progress.draw(stats, now)).unwrap()
    }

    #[test]
    fn the_line_counts_first_and_shows_a_bar_once_the_total_is_known() {
        let mut progress = Progress::with_width(|| 80);
        let mut stats = Stats { accepted: 400, running: 3, ..Stats::default() };
        assert_eq!(draw(&mut progress, &stats, at(1)), "0 done  3 running");
        assert_eq!(progress.due(), at(1).after(REDRAW));
        stats.ended[0] = 98;
        stats.ended[1] = 2;
        assert_eq!(draw(&mut progress, &stats, at(2)), "100 done  3 running  2 not ok  52/s");
        stats.input_closed = true;
        let line = draw(&mut progress, &stats, at(2));
        assert_eq!(line, "[======>                 ] 100/400  3 running  2 not ok  52/s  ETA 6 s");
        stats.ended[0] = 398;
        stats.running = 0;
        let line = draw(&mut progress, &stats, at(3));
        assert!(line.starts_with("[========================] 400/400  0 running  2 not ok"), "{line}");
    }

    #[test]
    fn on_a_narrow_terminal_the_bar_goes_first_and_no_figure_is_cut() {
        let mut stats = Stats { accepted: 12, running: 3, input_closed: true, ..Stats::default() };
        stats.ended[0] = 6;
        let narrow = |width| draw(&mut Progress::with_width(width), &stats, at(3));
        assert_eq!(narrow(|| 62), "[============>           ] 6/12  3 running  2.0/s  ETA 3 s");
        assert_eq!(narrow(|| 54), "[========>        ] 6/12  3 running  2.0/s  ETA 3 s");
        assert_eq!(narrow(|| 42), "6/12  3 running  2.0/s  ETA 3 s");
        assert_eq!(narrow(|| 32), "6/12  3 running  2.0/s");
        assert_eq!(narrow(|| 14), "6/12");
        assert_eq!(narrow(|| 5), "");
        stats.input_closed = false;
        assert_eq!(draw(&mut Progress::with_width(|| 14), &stats, at(3)), "6 done");
    }

    #[test]
    fn no_line_while_the_list_is_typed() {
        let around = Surroundings { stderr_is_terminal: true, is_list_typed: true, ..Surroundings::pipes() };
        let mut stats = Stats { accepted: 12, running: 3, ..Stats::default() };
        let mut drawn = |progress, input_closed| {
            stats.input_closed = input_closed;
            let output = Output { progress, ..crate::report::hub::tests::output() };
            !draw(&mut Progress::new(&output, &around).unwrap(), &stats, at(1)).is_empty()
        };
        assert!(!drawn(When::Auto, false));
        assert!(drawn(When::Auto, true));
        assert!(drawn(When::Always, false));
    }

    #[test]
    fn slow_rates_are_told_by_the_minute() {
        let mut rate = Rate::default();
        rate.update(1, at(2));
        assert_eq!(rate.text(), "30.0/min");
        rate.update(1, at(2));
        assert_eq!(rate.time_for(10), Some(Duration::from_secs(20)));
        assert_eq!(Rate::default().time_for(10), None);
    }

    #[test]
    fn no_line_on_a_pipe_in_ci_or_when_quiet() {
        let output = |progress, quiet| {
            let volume = if quiet { Volume::Quiet } else { Volume::Usual };
            Output { progress, volume, ..crate::report::hub::tests::output() }
        };
        let terminal = Surroundings { stderr_is_terminal: true, ..Surroundings::pipes() };
        let ci = Surroundings { is_ci: true, ..terminal };
        let dumb = Surroundings { is_dumb: true, ..terminal };
        let drawn = |progress, quiet, around| Progress::new(&output(progress, quiet), &around).is_some();
        assert!(drawn(When::Auto, false, terminal));
        assert!(!drawn(When::Auto, true, terminal));
        assert!(!drawn(When::Auto, false, ci));
        assert!(!drawn(When::Auto, false, dumb));
        assert!(!drawn(When::Auto, false, Surroundings::pipes()));
        assert!(!drawn(When::Never, false, terminal));
        assert!(drawn(When::Always, false, ci));
        assert!(drawn(When::Always, true, Surroundings::pipes()));
    }
}
