//! A malformed file as the pack that it stands for.

use rubor::engine::source::SourceFile;

/// The pack that is added to files that name none.
pub const BASE: &str = include_str!("../diagnostics/base.yaml");
/// Its case.
pub const BASE_CASE: &str = include_str!("../diagnostics/base_case.yaml");

/// Lines `# file: NAME` part a text into several files; the base pack is added unless the text names its own files.
pub fn files(name: &str, text: &str) -> Vec<SourceFile> {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.to_owned() };
    if !text.contains("# file: ") {
        let own_header = text.lines().any(|line| line.starts_with("pack:"));
        let mut files = vec![file(name, text)];
        if !own_header {
            files.extend([file("base.yaml", BASE), file("cases/base.yaml", BASE_CASE)]);
        }
        return files;
    }
    text.split("# file: ")
        .skip(1)
        .flat_map(|part| {
            let (path, rest) = part.split_once('\n').unwrap_or((part, ""));
            if path == "base.yaml" {
                vec![file(path, BASE), file("cases/base.yaml", BASE_CASE)]
            } else {
                vec![file(path, rest)]
            }
        })
        .collect()
}
