//! The structure of `src/`: imports point down the layers, and each kind of work has its place.

// A test that cannot go on is a test that fails.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The layers from top to bottom. The modules of one layer do not import each other.
const LAYERS: [&[&str]; 7] = [
    &["main"],
    &["cli"],
    &["lib"],
    &["web"],
    &["counter"],
    &["database"],
    &["config"],
];

/// A module: its path below `crate`, such as `["web", "home"]`. The root is `["lib"]`.
type Module = Vec<String>;

/// What a file contains that has its place.
#[derive(Default)]
struct Source {
    module: Module,
    /// Paths into this crate, such as `["counter", "Counter"]`.
    imports: BTreeSet<Vec<String>>,
    strings: Vec<String>,
    /// Methods, and paths as they are written or imported, such as `std::env`.
    names: BTreeSet<String>,
    has_string_errors: bool,
    /// How many modules surround the item that is visited.
    depth: usize,
}

impl Source {
    /// Notes a path that starts in this crate, at this module or above it.
    fn import(&mut self, path: &[String]) {
        self.names.insert(path.join("::"));
        let mut base: Module = self.module.clone();
        if base == ["lib"] || base == ["main"] {
            base.clear();
        }
        let absolute = match path.first().map(String::as_str) {
            Some("crate" | "pageviews") => path[1..].to_vec(),
            Some("self") if self.depth == 0 => [&base, &path[1..]].concat(),
            Some("super") => {
                let ups = path
                    .iter()
                    .take_while(|segment| *segment == "super")
                    .count();
                let Some(kept) = (base.len() + self.depth).checked_sub(ups) else {
                    return;
                };
                base.truncate(kept);
                [&base, &path[ups..]].concat()
            }
            _ => return,
        };
        self.imports.insert(absolute);
    }

    fn use_tree(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| [prefix, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Group(group) => {
                group
                    .items
                    .iter()
                    .for_each(|tree| self.use_tree(prefix, tree));
            }
            syn::UseTree::Name(name) if name.ident == "self" => self.import(prefix),
            syn::UseTree::Name(name) => self.import(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.import(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.import(prefix),
        }
    }
}

impl<'s> Visit<'s> for Source {
    fn visit_item_mod(&mut self, item: &'s syn::ItemMod) {
        // Unit tests may do what they like.
        if item.ident == "tests" {
            return;
        }
        self.depth += usize::from(item.content.is_some());
        visit::visit_item_mod(self, item);
        self.depth -= usize::from(item.content.is_some());
    }

    /// `pub(super)` imports nothing.
    fn visit_visibility(&mut self, _: &'s syn::Visibility) {}

    fn visit_item_use(&mut self, item: &'s syn::ItemUse) {
        self.use_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|part| part.ident.to_string())
            .collect();
        self.import(&segments);
        if let Some(result) = path.segments.last().filter(|part| part.ident == "Result")
            && let syn::PathArguments::AngleBracketed(arguments) = &result.arguments
            && let Some(syn::GenericArgument::Type(syn::Type::Path(error))) = arguments.args.get(1)
            && error.path.is_ident("String")
        {
            self.has_string_errors = true;
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'s syn::ExprMethodCall) {
        self.names.insert(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_lit_str(&mut self, text: &'s syn::LitStr) {
        self.strings.push(text.value());
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(path.to_str().unwrap()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn module(file: &Path) -> Module {
    let path = file.strip_prefix("src").unwrap().with_extension("");
    path.iter()
        .map(|part| part.to_str().unwrap().to_string())
        .collect()
}

fn sources() -> Vec<Source> {
    let read = |file: PathBuf| {
        let mut source = Source {
            module: module(&file),
            ..Source::default()
        };
        source.visit_file(&syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap());
        source
    };
    let sources: Vec<_> = files("src").into_iter().map(read).collect();
    assert!(
        sources.len() > 30,
        "these are not the sources: {}",
        sources.len()
    );
    sources
}

/// The file that `import` leads to: the longest module on its way, or the root.
fn target(import: &[String], modules: &BTreeSet<Module>) -> Module {
    (1..=import.len())
        .rev()
        .map(|length| import[..length].to_vec())
        .find(|module| modules.contains(module))
        .unwrap_or_else(|| vec!["lib".into()])
}

/// Which file imports which.
fn imports(sources: &[Source]) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules: BTreeSet<_> = sources.iter().map(|source| source.module.clone()).collect();
    let of = |source: &Source| {
        let targets = source.imports.iter().map(|import| target(import, &modules));
        let others: BTreeSet<_> = targets.filter(|target| *target != source.module).collect();
        (source.module.clone(), others)
    };
    sources.iter().map(of).collect()
}

/// Leaves are below all other layers.
fn layer(module: &Module) -> usize {
    let top = module[0].as_str();
    LAYERS
        .iter()
        .position(|layer| layer.contains(&top))
        .unwrap_or(LAYERS.len())
}

#[test]
fn imports_point_down_the_layers() {
    let mut seen = 0;
    for (from, targets) in imports(&sources()) {
        for to in targets {
            seen += 1;
            assert!(
                from[0] == to[0] || layer(&from) < layer(&to),
                "{} imports {}, which is not below it",
                from.join("::"),
                to.join("::")
            );
        }
    }
    assert!(seen > 50, "only {seen} imports were found");
}

#[test]
fn no_import_leads_back() {
    fn visit(
        module: &Module,
        imports: &BTreeMap<Module, BTreeSet<Module>>,
        way: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) {
        assert!(!way.contains(module), "a circle: {way:?} {module:?}");
        if done.contains(module) {
            return;
        }
        way.push(module.clone());
        for target in imports.get(module).into_iter().flatten() {
            visit(target, imports, way, done);
        }
        way.pop();
        done.insert(module.clone());
    }
    let imports = imports(&sources());
    let mut done = BTreeSet::new();
    for module in imports.keys() {
        visit(module, &imports, &mut Vec::new(), &mut done);
    }
}

#[test]
fn each_kind_of_work_has_its_place() {
    let sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "SET "];
    for source in sources() {
        let (place, top) = (source.module.join("/"), source.module[0].as_str());
        let is_sql = |text: &&String| sql.iter().any(|word| text.trim_start().starts_with(word));
        if !["counter", "database"].contains(&top) {
            assert_eq!(source.strings.iter().find(is_sql), None, "SQL in {place}");
        }
        let below_web = !["main", "cli", "lib", "web"].contains(&top) && top != "logging";
        let misplaced = |name: &&String| {
            let is = |path: &str| name.starts_with(path);
            let connects = name.contains("connect_")
                || name.ends_with("::connect") && *name != "database::connect";
            let http = [
                "rocket::http",
                "rocket::request",
                "rocket::response",
                "rocket::route",
            ];
            connects && top != "database"
                || (is("std::env") || is("env::")) && top != "config"
                || http.into_iter().any(is) && below_web
        };
        let found = source.names.iter().find(misplaced);
        assert_eq!(found, None, "misplaced in {place}");
        assert!(!source.has_string_errors, "Result<_, String> in {place}");
    }
}

#[test]
fn files_are_short_and_lines_fit() {
    for file in ["src", "tests", "private-postgres/src"]
        .into_iter()
        .flat_map(files)
    {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        assert!(
            lines <= 300,
            "{} has {lines} lines; split it",
            file.display()
        );
        for (line, number) in text.lines().zip(1..) {
            let width = line.chars().count();
            assert!(
                width <= 100,
                "{}:{number} has {width} columns",
                file.display()
            );
        }
    }
}
