//! Which scope each method needs.
//!
//! Owns the one table of methods. A method that is not in it needs the strongest scope, so that a forgotten one is
//! closed and not open.

use std::fmt;

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Have patients evaluated.
    Evaluate,
    /// Read what the rules hold and how they are served.
    Read,
    /// Reload rules and try them out.
    Administer,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Evaluate, Scope::Read, Scope::Administer];

    /// Its name, as it stands in a file of tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Evaluate => "evaluate",
            Scope::Read => "read",
            Scope::Administer => "administer",
        }
    }

    /// The scope of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Scopes(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

/// What a method asks of its caller, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// Its full name, as metrics show it.
    pub name: &'static str,
    /// The scope it needs; `None` is open to everybody.
    pub scope: Option<Scope>,
    /// Whether it is a stream that may stay open.
    pub is_stream: bool,
}

const fn unary(name: &'static str, scope: Scope) -> Method {
    Method { name, scope: Some(scope), is_stream: false }
}

const fn stream(name: &'static str, scope: Scope) -> Method {
    Method { name, scope: Some(scope), is_stream: true }
}

const fn open(name: &'static str, is_stream: bool) -> Method {
    Method { name, scope: None, is_stream }
}

/// Every method of the server.
pub const METHODS: [Method; 13] = [
    unary("rubor.v1.TriageService/Evaluate", Scope::Evaluate),
    stream("rubor.v1.TriageService/EvaluateStream", Scope::Evaluate),
    unary("rubor.v1.KnowledgeService/ListPacks", Scope::Read),
    unary("rubor.v1.KnowledgeService/GetPack", Scope::Read),
    unary("rubor.v1.KnowledgeService/GetStatus", Scope::Read),
    stream("rubor.v1.KnowledgeService/WatchStatus", Scope::Read),
    unary("rubor.v1.KnowledgeService/RunCases", Scope::Read),
    unary("rubor.v1.KnowledgeService/ReloadRules", Scope::Administer),
    unary("rubor.v1.KnowledgeService/ValidateRules", Scope::Administer),
    // Probes hold no token, and health says nothing else.
    open("grpc.health.v1.Health/Check", false),
    open("grpc.health.v1.Health/Watch", true),
    // The contract is public. `--no-reflection` takes the service away.
    open("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true),
    open("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true),
];

/// Whatever else is asked for.
pub const OTHER: Method = unary("other", Scope::Administer);

/// The method of a path. Only the exact path is that method.
#[must_use]
pub fn method(path: &str) -> Method {
    let name = path.strip_prefix('/').unwrap_or_default();
    METHODS.into_iter().find(|method| method.name == name).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::{METHODS, OTHER, Scope, Scopes, method};
    use prost_reflect::DescriptorPool;

    #[test]
    fn every_method_of_the_contract_needs_a_scope() {
        let pool = DescriptorPool::decode(crate::grpc::proto::FILE_DESCRIPTOR_SET).expect("a descriptor set");
        let mut seen = 0;
        for service in pool.services() {
            for rpc in service.methods() {
                let name = format!("{}/{}", service.full_name(), rpc.name());
                let found = METHODS.into_iter().find(|method| method.name == name);
                let found = found.unwrap_or_else(|| panic!("{name} has no scope; add it to the table"));
                assert!(found.scope.is_some(), "{name} is open to everybody");
                assert_eq!(found.is_stream, rpc.is_server_streaming() || rpc.is_client_streaming(), "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, METHODS.iter().filter(|method| method.name.starts_with("rubor.")).count());
    }

    #[test]
    fn no_caller_can_invent_a_label_or_slip_past_the_table() {
        assert_eq!(method("/rubor.v1.TriageService/Evaluate").name, "rubor.v1.TriageService/Evaluate");
        for path in [
            "/rubor.v1.TriageService/fever",
            "rubor.v1.TriageService/Evaluate",
            "//rubor.v1.TriageService/Evaluate",
            "/rubor.v1.TriageService/Evaluate/",
            "/RUBOR.v1.TriageService/Evaluate",
            "/grpc.health.v1.Health/../../rubor.v1.KnowledgeService/ReloadRules",
            "/grpc.health.v1.Health/Check%2f..",
            "",
        ] {
            assert_eq!(method(path), OTHER, "{path}");
        }
    }

    #[test]
    fn scopes_are_a_set() {
        let some: Scopes = [Scope::Read, Scope::Read].into_iter().collect();
        assert!(some.has(Scope::Read) && !some.has(Scope::Evaluate) && !some.has(Scope::Administer));
        assert!(Scope::ALL.into_iter().all(|scope| Scopes::all().has(scope)) && Scopes::default().is_empty());
    }
}
