//! Each script of ours says what it shows, by which rule, and whether Linux follows it.

use std::fs;
use std::path::{Path, PathBuf};

fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let directories = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let scripts = directories.filter(|path| path.is_dir()).flat_map(|path| fs::read_dir(path).unwrap());
    scripts.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn each_script_says_what_it_shows() {
    let scripts = scripts();
    assert!(scripts.len() >= 210, "{}", scripts.len());
    let mut told = Vec::new();
    for path in scripts {
        let text = fs::read_to_string(&path).unwrap();
        let comments: Vec<_> = text.lines().map_while(|line| line.strip_prefix("// ")).collect();
        let header = comments.join("\n");
        assert!(path.extension().is_some_and(|extension| extension == "pkt"), "{}", path.display());
        let rule = ["RFC ", "POSIX", "Linux "].iter().any(|source| header.contains(&format!("\n{source}")));
        assert!(rule, "{}: by which rule?", path.display());
        let linux =
            ["\nLinux: the same.", "\nLinux: differs. "].iter().filter(|word| header.contains(**word));
        assert_eq!(linux.count(), 1, "{}: and Linux?", path.display());
        assert!(text.contains("`../common.sh"), "{}: no setup", path.display());
        told.push(comments.first().copied().unwrap_or_default().to_owned());
    }
    let all = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), all, "two scripts show the same");
}
