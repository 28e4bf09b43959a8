//! From a kernel's file to the text that a device compiles: imports before what imports them, the trace windows' template written out.

use super::{Library, Variant};

const IMPORT: &str = "//#import ";

/// The variant's text: each file once, imports first, under a banner with its name; the program, if there is one, at the end.
pub(super) fn assemble(variant: Variant, program: &str) -> String {
    let mut assembly = Assembly { variant, imported: vec![], text: String::new() };
    let name = format!("{}.wgsl", variant.kernel.name);
    assembly.add(&name, variant.kernel.source, variant.kernel.library);
    if !program.is_empty() {
        assembly.append("generated", program);
    }
    assembly.text
}

struct Assembly {
    variant: Variant,
    imported: Vec<String>,
    text: String,
}

impl Assembly {
    fn add(&mut self, name: &str, source: &'static str, library: &'static Library) {
        for import in source.lines().filter_map(|line| line.strip_prefix(IMPORT)) {
            let import = import.trim().replace("{form}", self.variant.form.suffix());
            if !self.imported.contains(&import) {
                let (source, owner) = library.find(&import).unwrap_or_else(|| panic!("{name} imports {import}, which there is not"));
                self.imported.push(import.clone());
                self.add(&format!("{import}.wgsl"), source, owner);
            }
        }
        self.append(name, &expand(source, self.variant.slots));
    }

    fn append(&mut self, name: &str, text: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(&format!("// ======== {name} ========\n"));
        for line in text.lines().filter(|line| !line.starts_with(IMPORT)) {
            self.text.push_str(line);
            self.text.push('\n');
        }
    }
}

impl Library {
    /// A file's text, and the library that has it: its own imports are looked up there.
    fn find(&'static self, name: &str) -> Option<(&'static str, &'static Self)> {
        let own = self.files.iter().find(|(own, _)| *own == name).map(|&(_, text)| (text, self));
        own.or_else(|| self.parent?.find(name))
    }
}

/// Writes a template out for a number of trace windows. Lines between `//#if 0`, `//#if 1` or `//#if many` and `//#end` are kept for that number;
/// lines between `//#each` and `//#end` are repeated for each window, `{i}` being its number and `{case}` its case in a `switch`, of
/// which the last is the default.
fn expand(text: &str, slots: u32) -> String {
    let mut lines = text.lines();
    let mut out = String::new();
    let mut kept = true;
    while let Some(line) = lines.next() {
        let directive = line.trim_start();
        if let Some(number) = directive.strip_prefix("//#if ") {
            kept = number
                == match slots {
                    0 => "0",
                    1 => "1",
                    _ => "many",
                };
        } else if directive == "//#each" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| line.trim_start() != "//#end").collect();
            for i in (0..slots).filter(|_| kept) {
                let case = if i + 1 == slots { "default".to_owned() } else { format!("case {i}u") };
                for line in &block {
                    out.push_str(&line.replace("{i}", &i.to_string()).replace("{case}", &case));
                    out.push('\n');
                }
            }
        } else if directive == "//#end" {
            kept = true;
        } else if kept {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{FieldForm, Kernel};

    static PARENT: Library = Library { files: &[("shared/field_u32", "fn f() {}\n")], parent: None };
    static OWN: Library = Library {
        files: &[("shared/a", "//#import shared/field_{form}\nfn a() {}\n"), ("shared/b", "//#import shared/a\nfn b() {}\n")],
        parent: Some(&PARENT),
    };
    static KERNEL: Kernel = Kernel {
        name: "kernel",
        source: "// About it.\n//#import shared/b\n//#import shared/a\nfn main() {}\n",
        library: &OWN,
        stage: "test",
        workgroup_size: 64,
        workgroup_bytes: 0,
        arguments: &[],
        windows: &[0],
        constants: &[],
        stub: None,
    };

    #[test]
    fn files_come_once_and_before_those_that_import_them() {
        let text = Variant { kernel: &KERNEL, form: FieldForm::U32, slots: 0 }.source_with("fn program() {}");
        let banner = |name: &str| format!("// ======== {name} ========\n");
        let expected = [
            banner("shared/field_u32.wgsl") + "fn f() {}\n",
            banner("shared/a.wgsl") + "fn a() {}\n",
            banner("shared/b.wgsl") + "fn b() {}\n",
            banner("kernel.wgsl") + "// About it.\nfn main() {}\n",
            banner("generated") + "fn program() {}\n",
        ];
        assert_eq!(text, expected.join("\n"));
    }

    #[test]
    fn templates_have_a_line_for_each_window() {
        let text = "//#each\nvar w{i};\n//#end\n//#if many\nswitch {\n    //#each\n    {case}: w{i}\n    //#end\n}\n//#end\n//#if 1\none\n//#end\n";
        assert_eq!(expand(text, 0), "");
        assert_eq!(expand(text, 1), "var w0;\none\n");
        assert_eq!(expand(text, 2), "var w0;\nvar w1;\nswitch {\n    case 0u: w0\n    default: w1\n}\n");
    }
}
