//! A rehearsal as one page that needs nothing else: a lane for each actor.

use std::fmt::Write;

use super::{Kind, Moment, Rehearsal, Verdict};

const STYLE: &str = "\
:root{--ink:#1d2530;--soft:#5c6773;--line:#dfe4ea;--paper:#fff;--does:#0b63ce;--good:#1a7f43;--bad:#b42318;--storm:#a15c00}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#98a3b0;--line:#323a45;--paper:#14181e;--does:#6cb0ff;--good:#58c283;--bad:#ff8a7d;--storm:#f0b35a}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:84rem;padding:2rem 1.25rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.5rem;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2.5rem 0 .75rem}section+section{margin-top:4rem;border-top:3px solid var(--line);padding-top:2rem}
p{margin:.25rem 0}.soft{color:var(--soft)}.good{color:var(--good)}.bad{color:var(--bad)}
.figures{display:flex;flex-wrap:wrap;gap:1rem;margin:1.25rem 0;padding:0;list-style:none}
.figures li{border:1px solid var(--line);border-radius:.5rem;padding:.6rem 1rem;min-width:9rem}.figures b{display:block;font-size:1.35rem}
summary{cursor:pointer;color:var(--soft);margin:.5rem 0}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.25rem .6rem;border-bottom:1px solid var(--line)}
thead th{position:sticky;top:0;background:var(--paper)}
td.at{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}
.lanes td+td{border-left:1px solid var(--line);min-width:9rem}
.does{color:var(--does)}.waits{color:var(--soft);font-style:italic}.fails{color:var(--bad)}.reached{color:var(--good);font-weight:600}.incident{color:var(--storm);font-weight:600}
";

/// One self-contained page about all these rehearsals.
pub fn page(rehearsals: &[Rehearsal]) -> String {
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n");
    let _ = writeln!(
        page,
        "<title>rehome drill</title>\n<style>\n{STYLE}</style>\n</head>\n<body>"
    );
    for rehearsal in rehearsals {
        section(&mut page, rehearsal);
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn section(page: &mut String, rehearsal: &Rehearsal) {
    let _ = writeln!(page, "<section>\n<h1>{}</h1>", escape(&rehearsal.title));
    let _ = writeln!(
        page,
        "<p class=\"soft\">scenario {}, seed {}</p>",
        escape(&rehearsal.scenario),
        rehearsal.seed
    );
    figures(page, rehearsal);
    page.push_str("<h2>Who did what, when</h2>\n");
    timeline(page, &rehearsal.timeline, !rehearsal.incidents.is_empty());
    page.push_str("<h2>Promises</h2>\n");
    verdicts(page, &rehearsal.promises);
    if !rehearsal.expectations.is_empty() {
        page.push_str("<h2>Expected of this scenario</h2>\n");
        verdicts(page, &rehearsal.expectations);
    }
    page.push_str("<h2>API calls</h2>\n<p>");
    let calls: Vec<String> = rehearsal
        .api_calls
        .iter()
        .map(|(action, count)| format!("{} {count}", escape(action)))
        .collect();
    let _ = writeln!(page, "{}</p>\n<h2>Cast</h2>\n<p>", calls.join(", "));
    let cast: Vec<String> = rehearsal
        .cast
        .iter()
        .map(|(name, id)| format!("{} = {}", escape(name), escape(id)))
        .collect();
    let _ = writeln!(page, "{}</p>\n</section>", cast.join(", "));
}

fn figures(page: &mut String, rehearsal: &Rehearsal) {
    let time =
        |seconds: Option<f64>| seconds.map_or_else(|| "–".to_owned(), |s| format!("{s:.1} s"));
    let ratio = rehearsal
        .ratio()
        .map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
    let settled = if rehearsal.settled { "yes" } else { "no" };
    let figures = [
        ("settled", settled.to_owned()),
        ("recovery time", time(rehearsal.rto_seconds)),
        ("shortest possible", time(rehearsal.critical_path_seconds)),
        ("times the shortest", ratio),
        ("data lost", time(Some(rehearsal.data_loss_seconds))),
        ("API calls", rehearsal.calls().to_string()),
    ];
    page.push_str("<ul class=\"figures\">\n");
    for (name, value) in figures {
        let _ = writeln!(page, "<li><b>{value}</b>{name}</li>");
    }
    page.push_str("</ul>\n");
}

/// The world's own lanes come first, then the instances as they appear.
const WORLD: [&str; 4] = ["nature", "auto scaling", "ec2", "ebs"];

fn actors(timeline: &[Moment]) -> Vec<&str> {
    let mut actors: Vec<&str> = Vec::new();
    for moment in timeline {
        if !actors.contains(&moment.who.as_str()) {
            actors.push(&moment.who);
        }
    }
    let rank = |who: &str| WORLD.iter().position(|known| *known == who);
    actors.sort_by_key(|who| rank(who).unwrap_or(WORLD.len()));
    actors
}

/// What led up to the incident is there to be opened.
fn timeline(page: &mut String, timeline: &[Moment], has_incident: bool) {
    let since = if has_incident { 0.0 } else { f64::NEG_INFINITY };
    let start = timeline.partition_point(|moment| moment.at_seconds < since);
    let (before, after) = timeline.split_at(start);
    if !before.is_empty() {
        let _ = writeln!(
            page,
            "<details><summary>Until the incident: {} moments</summary>",
            before.len()
        );
        lanes(page, before);
        page.push_str("</details>\n");
    }
    lanes(page, after);
}

/// A column for each actor.
fn lanes(page: &mut String, timeline: &[Moment]) {
    let actors = actors(timeline);
    page.push_str("<div class=\"scroll\"><table class=\"lanes\">\n<thead><tr><th>seconds</th>");
    for actor in &actors {
        let _ = write!(page, "<th>{}</th>", escape(actor));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for moment in timeline {
        let _ = write!(page, "<tr><td class=\"at\">{:.1}</td>", moment.at_seconds);
        for actor in &actors {
            if *actor == moment.who {
                let _ = write!(
                    page,
                    "<td class=\"{}\">{}</td>",
                    class(moment.kind),
                    escape(&moment.what)
                );
            } else {
                page.push_str("<td></td>");
            }
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Incident => "incident",
        Kind::Happens => "happens",
        Kind::Does => "does",
        Kind::Waits => "waits",
        Kind::Fails => "fails",
        Kind::Reached => "reached",
    }
}

fn verdicts(page: &mut String, verdicts: &[Verdict]) {
    page.push_str("<table>\n");
    for verdict in verdicts {
        let (class, word) = if verdict.held {
            ("good", "held")
        } else {
            ("bad", "broken")
        };
        let _ = writeln!(
            page,
            "<tr><td class=\"{class}\">{word}</td><td>{}</td><td class=\"soft\">{}</td></tr>",
            escape(&verdict.name),
            escape(&verdict.detail)
        );
    }
    page.push_str("</table>\n");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::rehearsal;
    use super::*;

    #[test]
    fn what_is_said_cannot_become_markup() {
        let page = page(&[rehearsal()]);
        assert!(page.contains("The replacement comes up &lt;elsewhere&gt;"));
        assert!(!page.contains("<elsewhere>"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page(&[rehearsal()]);
        for foreign in ["http://", "https://", "<script", "<link", "@import", "url("] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn every_actor_has_a_lane() {
        let page = page(&[rehearsal()]);
        assert!(page.contains("<th>nature</th>") && page.contains("<th>first</th>"));
    }
}
