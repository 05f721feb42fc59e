//! Groups files that import each other, and orders the groups so that each group comes after those that it imports.

use super::imports::Imports;

/// Files that import each other, directly or through other files. A file that is in no import cycle is a group by
/// itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    pub files: Vec<usize>,
    /// The level is 0 if the group imports no files of other groups. Otherwise it is one more than the highest level
    /// among the groups that it imports.
    pub level: usize,
}

/// All groups, each after the groups that it imports. The groups are the strongly connected components, found by
/// Tarjan's algorithm.
pub fn groups(imports: &Imports) -> Vec<Group> {
    let count = imports.files.len();
    let mut search = Search {
        imports,
        order: vec![None; count],
        lowest: vec![0; count],
        stack: Vec::new(),
        group_of: vec![None; count],
        visited: 0,
        groups: Vec::new(),
    };
    for file in 0..count {
        if search.order[file].is_none() {
            search.visit(file);
        }
    }
    search.groups
}

struct Search<'a> {
    imports: &'a Imports,
    /// For each file, when the algorithm first visited it, as a number counted from 0. `None` if it was not visited
    /// yet.
    order: Vec<Option<usize>>,
    /// For each file, the smallest `order` among the files on the stack that can be reached from this file by
    /// imports.
    lowest: Vec<usize>,
    stack: Vec<usize>,
    group_of: Vec<Option<usize>>,
    visited: usize,
    groups: Vec<Group>,
}

impl Search<'_> {
    fn visit(&mut self, file: usize) {
        let order = self.visited;
        self.visited += 1;
        self.order[file] = Some(order);
        self.lowest[file] = order;
        self.stack.push(file);
        for imported in self.imports.imported_by(file) {
            match self.order[imported] {
                None => {
                    self.visit(imported);
                    self.lowest[file] = self.lowest[file].min(self.lowest[imported]);
                }
                Some(seen) if self.group_of[imported].is_none() => self.lowest[file] = self.lowest[file].min(seen),
                Some(_) => {}
            }
        }
        if self.lowest[file] == order {
            self.close_group(file);
        }
    }

    /// Removes a finished group from the stack and adds it to the finished groups. `first` is the file of the group
    /// that the algorithm visited first.
    fn close_group(&mut self, first: usize) {
        let start = self.stack.iter().rposition(|&file| file == first).expect("a file stays on the stack until closed");
        let mut files = self.stack.split_off(start);
        files.sort_unstable();
        let group = self.groups.len();
        for &file in &files {
            self.group_of[file] = Some(group);
        }
        let below = files.iter().flat_map(|&file| self.imports.imported_by(file)).filter_map(|file| {
            let imported = self.group_of[file].filter(|&imported| imported != group)?;
            Some(self.groups[imported].level + 1)
        });
        let level = below.max().unwrap_or(0);
        self.groups.push(Group { files, level });
    }
}
