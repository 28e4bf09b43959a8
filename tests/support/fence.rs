//! Kernels in which every index of a storage array is compared with the array's length.

/// The text with a fence around every index of a storage array.
pub fn fenced(source: &str) -> String {
    // Comments write of arrays, too.
    let mut text: String = source.lines().flat_map(|line| [line.split("//").next().unwrap_or(line), "\n"]).collect();
    let mut fences = String::from("var<private> outside: bool;\n");
    let declarations: Vec<(String, String)> = source
        .lines()
        .filter_map(|line| line.split_once("var<storage")?.1.split_once("> "))
        .map(|(_, rest)| rest.trim_end_matches(';').split_once(": ").expect("name and type"))
        .map(|(name, ty)| (name.to_owned(), ty.to_owned()))
        .collect();
    assert!(!declarations.is_empty(), "storage arrays are found");
    for (name, ty) in &declarations {
        assert!(ty.starts_with("array<"), "{name}: {ty}");
        // What is not stored by an assignment is spoilt at once: a count that cannot be.
        let spoil = if ty.contains("atomic") { format!("atomicStore(&{name}[0], 0xfffffffeu);") } else { String::new() };
        let fence = format!("if i >= arrayLength(&{name}) {{ outside = true; {spoil} }}");
        fences.push_str(&format!("fn inside_{name}(i: u32) -> u32 {{ {fence} return i; }}\n"));
        text = fence_array(&text, name, ty);
    }
    text + &fences
}

/// `name[index]` becomes `name[inside_name(index)]`, and what is stored there is spoilt if the thread was outside.
fn fence_array(text: &str, name: &str, ty: &str) -> String {
    let mut fenced = String::new();
    let mut rest = text;
    let opening = format!("{name}[");
    while let Some(at) = rest.find(&opening) {
        let is_name = rest[..at].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_');
        let (before, after) = rest.split_at(at + opening.len());
        fenced.push_str(before);
        rest = after;
        if !is_name {
            continue;
        }
        let mut depth = 1;
        let closing = rest.find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            depth == 0
        });
        let (index, after) = rest.split_at(closing.expect("the bracket closes"));
        fenced.push_str(&format!("inside_{name}({index})]"));
        rest = &after[1..];
        if let Some(value) = rest.strip_prefix(" = ") {
            let (value, after) = value.split_once(';').expect("a statement");
            let spoilt = match ty {
                "array<u32>" => "0xffffffffu",
                "array<vec2<u32>>" => "vec2<u32>(0xffffffffu)",
                _ => "vec4<u32>(0xffffffffu)",
            };
            fenced.push_str(&format!(" = select({value}, {spoilt}, outside);"));
            rest = after;
        }
    }
    fenced + rest
}
