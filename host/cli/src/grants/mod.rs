//! `grants.toml`: what the operator allowed each plugin on this site, bound to its digest.

mod comments;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use liftlock_types::{
    Binding, Descriptor, Digest, Grant, GrantedBinding, GrantedVerb, Need, Request, TargetIdentity,
    binding_matches, resolve_verb, waits,
};
use serde::{Deserialize, Serialize};

use crate::code::Code;
use crate::failure::{self, Failure};
use crate::site::{Site, toml_failure};
use crate::state::write_shared;

/// The name of the file.
pub(crate) const GRANTS_FILE: &str = "grants.toml";

const HEADER: &str = "\
# What each plugin may read and propose on this site. Bound to the plugin's digest: another build asks again.
# A line may be made narrower by hand, never wider than what the plugin asks for.
";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GrantsToml {
    #[serde(default)]
    grant: Vec<Grant>,
}

/// All grants of a site.
#[derive(Debug)]
pub(crate) struct Grants {
    file: PathBuf,
    text: String,
    list: Vec<Grant>,
}

impl Grants {
    /// Reads the file beside `site.toml`; none there is no grant.
    pub(crate) fn load(site: &Site) -> Result<Self, Failure> {
        let file = site.home().join(GRANTS_FILE);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(failure::file("read", &file, &e)),
        };
        let list = parse(&file, &text)?;
        Ok(Self { file, text, list })
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What this plugin was granted on this site, for whichever digest.
    pub(crate) fn find(&self, plugin: &str, site: &str) -> Option<&Grant> {
        self.list
            .iter()
            .rev()
            .find(|grant| grant.plugin == plugin && grant.site == site)
    }

    /// What these bytes of the plugin were granted; else what was granted to whichever, for a message that says so.
    pub(crate) fn of_plugin(&self, plugin: &str, site: &str, digest: &Digest) -> Option<&Grant> {
        self.list
            .iter()
            .rev()
            .find(|grant| grant.plugin == plugin && grant.site == site && grant.digest == *digest)
            .or_else(|| self.find(plugin, site))
    }

    /// Writes a grant behind those of other builds of the plugin, which a run that goes on still needs.
    pub(crate) fn add(&mut self, grant: Grant) -> Result<(), Failure> {
        self.write(grant, |known, new| known.digest == new.digest)
    }

    /// Writes a grant, in the place of an earlier one of the same plugin and site. Comments stay.
    pub(crate) fn put(&mut self, grant: Grant) -> Result<(), Failure> {
        self.write(grant, |_, _| true)
    }

    /// `gives_way`: which of the grants of the same plugin and site the new one replaces.
    fn write(
        &mut self,
        grant: Grant,
        gives_way: impl Fn(&Grant, &Grant) -> bool,
    ) -> Result<(), Failure> {
        let before = self.list.len();
        self.list.retain(|known| {
            known.plugin != grant.plugin || known.site != grant.site || !gives_way(known, &grant)
        });
        let replaces = self.list.len() < before;
        self.list.push(grant.clone());
        let text = if replaces {
            comments::carry(&self.text, &to_toml(&self.list)?)
        } else {
            let above = if self.text.is_empty() {
                HEADER
            } else {
                self.text.trim_end()
            };
            format!("{above}\n\n{}", to_toml(&[grant])?)
        };
        if let Some(home) = self.file.parent() {
            // That of a rehearsal is made when it is first needed.
            fs::create_dir_all(home).map_err(|e| failure::file("make", home, &e))?;
        }
        write_shared(&self.file, text.as_bytes())?;
        self.text = text;
        Ok(())
    }
}

/// What the text of such a file says.
pub(crate) fn parse(file: &Path, text: &str) -> Result<Vec<Grant>, Failure> {
    let parsed: GrantsToml = toml::from_str(text).map_err(|error| {
        toml_failure(Code::GrantsInvalid, file, text, &error).next("liftlock grant")
    })?;
    Ok(parsed.grant)
}

/// Grants as the file holds them.
pub(crate) fn to_toml(grants: &[Grant]) -> Result<String, Failure> {
    toml::to_string(&GrantsToml {
        grant: grants.to_vec(),
    })
    .map_err(|e| Failure::new(Code::Internal, "the grant cannot be written as TOML").because(&e))
}

/// Who asks for a grant, and on what.
pub(crate) struct Asking<'a> {
    /// The plugin.
    pub(crate) descriptor: &'a Descriptor,
    /// Its bytes.
    pub(crate) digest: &'a Digest,
    /// The site.
    pub(crate) site: &'a Site,
    /// The site's options, defaults filled in.
    pub(crate) options: &'a BTreeMap<String, String>,
    /// Who answers at each binding.
    pub(crate) identities: &'a BTreeMap<Binding, TargetIdentity>,
    /// Who grants.
    pub(crate) by: &'a str,
    /// When, ISO-8601.
    pub(crate) at: String,
}

impl Asking<'_> {
    /// The grant that gives all that is asked for, on the bindings that the site has.
    pub(crate) fn grant(&self) -> Result<Grant, Failure> {
        let mut bindings: Vec<GrantedBinding> = Vec::new();
        for request in &self.descriptor.requests {
            if waits(request, self.options) {
                continue;
            }
            let verbs = self.verbs(request)?;
            let named: Vec<&Binding> = self
                .site
                .names()
                .filter(|binding| binding_matches(&request.binding, request.need, binding))
                .collect();
            if named.is_empty() && request.need == Need::One {
                return Err(missing(self.site, self.descriptor, request));
            }
            for binding in named {
                // One that did not answer was named in the failure of connecting; it has an identity here.
                let Some(identity) = self.identities.get(binding) else {
                    continue;
                };
                match bindings
                    .iter_mut()
                    .find(|granted| granted.binding == *binding)
                {
                    Some(granted) => granted.verbs.extend(verbs.clone()),
                    None => bindings.push(GrantedBinding {
                        binding: binding.clone(),
                        identity: identity.fingerprint.clone(),
                        verbs: verbs.clone(),
                    }),
                }
            }
        }
        Ok(Grant {
            plugin: self.descriptor.name.clone(),
            digest: self.digest.clone(),
            site: self.site.name.clone(),
            options: self.options.clone(),
            granted_by: self.by.to_owned(),
            granted_at: self.at.clone(),
            bindings,
        })
    }

    fn verbs(&self, request: &Request) -> Result<Vec<GrantedVerb>, Failure> {
        request
            .verbs
            .iter()
            .filter_map(|verb| {
                let resolved = resolve_verb(verb, self.options).map_err(|why| {
                    Failure::new(
                        Code::Options,
                        format!(
                            "what the plugin asks for on `{}` cannot be resolved",
                            request.binding.escape_debug()
                        ),
                    )
                    .cause(why)
                    .remedy("set the option under [options] in site.toml")
                    .next(format!("liftlock plugin show {}", self.descriptor.name))
                });
                resolved.transpose()
            })
            .collect()
    }
}

fn missing(site: &Site, descriptor: &Descriptor, request: &Request) -> Failure {
    let binding = request.binding.escape_debug();
    Failure::new(
        Code::BindingMissing,
        format!(
            "`{}` needs `{binding}`, which `{}` does not define",
            descriptor.name,
            site.file().display()
        ),
    )
    .cause(request.why.clone())
    .remedy(format!("add a table `[{binding}]` to it"))
    .next("liftlock doctor")
}

/// The reason that the plugin gives for a verb on a binding.
pub(crate) fn reason<'a>(
    descriptor: &'a Descriptor,
    binding: &Binding,
    verb: &GrantedVerb,
) -> &'a str {
    descriptor
        .requests
        .iter()
        .filter(|request| binding_matches(&request.binding, request.need, binding))
        .find_map(|request| {
            let asked = request.verbs.iter().find(|asked| asked.verb == verb.verb)?;
            Some(if asked.why.is_empty() {
                request.why.as_str()
            } else {
                asked.why.as_str()
            })
        })
        .unwrap_or_default()
}

/// An earlier grant covers this verb on this binding: it need not be looked at again.
pub(crate) fn covers(old: &Grant, binding: &Binding, verb: &GrantedVerb) -> bool {
    old.binding(binding).is_some_and(|granted| {
        granted.verbs.iter().any(|had| {
            had.verb == verb.verb
                && verb
                    .scope
                    .iter()
                    .all(|scope| had.scope.iter().any(|wide| wide.includes(scope)))
                && had.except.iter().all(|taken| {
                    verb.except.iter().any(|mine| mine.includes(taken))
                        || !verb.scope.iter().any(|scope| scope.overlaps(taken))
                })
                && had
                    .at_most
                    .is_none_or(|most| verb.at_most.is_some_and(|mine| mine <= most))
        })
    })
}

#[cfg(test)]
mod tests {
    use liftlock_types::{Change, FileName, Planned, Scope, Verb, VerbRequest};

    use super::*;

    fn descriptor(need: Need, binding: &str) -> Descriptor {
        Descriptor {
            product: "p".into(),
            name: "p".into(),
            version: "1".into(),
            summary: String::new(),
            edges: vec![],
            options: vec![],
            findings: vec![],
            more: vec![],
            requests: vec![Request {
                binding: binding.into(),
                need,
                why: "to look".into(),
                verbs: vec![VerbRequest {
                    verb: Verb::new("disk.read").unwrap(),
                    scope: vec!["{prefix}-*".into()],
                    except: vec![],
                    at_most: None,
                    why: String::new(),
                }],
            }],
        }
    }

    fn site(dir: &Path) -> Site {
        let text = "name = \"prod\"\nproduct-plugin = \"p\"\n[disk.config]\npath = \"c\"\n[disk.data]\npath = \"d\"\n";
        Site::parse(dir.join("site.toml"), text.into()).unwrap()
    }

    fn asked(site: &Site, descriptor: &Descriptor) -> Result<Grant, Failure> {
        granted(site, descriptor, "acme")
    }

    fn granted(site: &Site, descriptor: &Descriptor, prefix: &str) -> Result<Grant, Failure> {
        let identity = TargetIdentity {
            fingerprint: "1:2".into(),
            product: "directory".into(),
        };
        Asking {
            descriptor,
            digest: &Digest::of(b"p"),
            site,
            options: &BTreeMap::from([("prefix".into(), prefix.into())]),
            identities: &site
                .names()
                .map(|binding| (binding.clone(), identity.clone()))
                .collect(),
            by: "me",
            at: "now".into(),
        }
        .grant()
    }

    #[test]
    fn a_grant_reads_back_as_it_was_written_and_comments_stay() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let mut grant = asked(&site, &descriptor(Need::Many, "disk.*")).unwrap();
        assert_eq!(grant.bindings.len(), 2);
        assert_eq!(
            grant.bindings[0].verbs[0].scope,
            [Scope::new("acme-*").unwrap()]
        );
        let mut grants = Grants::load(&site).unwrap();
        grants.put(grant.clone()).unwrap();
        let file = dir.path().join(GRANTS_FILE);
        fs::write(
            &file,
            format!("# mine\n{}", fs::read_to_string(&file).unwrap()),
        )
        .unwrap();
        let mut grants = Grants::load(&site).unwrap();
        assert_eq!(grants.find("p", "prod"), Some(&grant));
        grant.plugin = "q".into();
        grants.put(grant.clone()).unwrap();
        assert!(fs::read_to_string(&file).unwrap().starts_with("# mine\n"));
        let text = fs::read_to_string(&file).unwrap();
        fs::write(
            &file,
            text.replace("verb = \"disk.read\"", "verb = \"disk.read\" # looked at"),
        )
        .unwrap();
        let mut grants = Grants::load(&site).unwrap();
        grant.digest = Digest::of(b"other");
        grants.put(grant.clone()).unwrap();
        let grants = Grants::load(&site).unwrap();
        assert_eq!(grants.list.len(), 2);
        assert_eq!(grants.find("q", "prod"), Some(&grant));
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# mine\n"), "{text}");
        assert_eq!(text.matches("# looked at").count(), 4, "{text}");
    }

    #[test]
    fn a_needed_binding_that_lacks_is_named_with_its_table() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let failure = asked(&site, &descriptor(Need::One, "cluster.database")).unwrap_err();
        assert_eq!(failure.code(), Code::BindingMissing);
        assert!(failure.data().remedy.contains("[cluster.database]"));
        assert!(
            asked(&site, &descriptor(Need::Optional, "cluster.database"))
                .unwrap()
                .bindings
                .is_empty()
        );
    }

    #[test]
    fn what_waits_for_an_option_is_granted_only_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let asking = |scopes: &[&str], option: &str| {
            let mut descriptor = descriptor(Need::Many, "disk.*");
            let verb = &mut descriptor.requests[0].verbs[0];
            verb.scope = scopes.iter().map(ToString::to_string).collect();
            let also = VerbRequest {
                verb: Verb::new("disk.keep").unwrap(),
                ..verb.clone()
            };
            descriptor.requests[0].verbs.push(also);
            descriptor.requests[0].verbs[1].scope = vec!["{prefix?}acme-a".into()];
            granted(&site, &descriptor, option).unwrap()
        };
        let verbs = |grant: &Grant| -> Vec<String> {
            let of = |verb: &GrantedVerb| verb.verb.to_string();
            grant.bindings[0].verbs.iter().map(of).collect()
        };
        assert_eq!(verbs(&asking(&["a"], "")), ["disk.read"]);
        let with = asking(&["a"], "yes");
        assert_eq!(verbs(&with), ["disk.read", "disk.keep"]);
        let keep = |name: &str| Planned {
            binding: Binding::new("disk.config").unwrap(),
            change: Change::KeepFile {
                dir: vec![],
                name: FileName::new(name).unwrap(),
            },
            fills: vec![],
        };
        assert!(with.allow_change(&keep("acme-a")).is_ok());
        assert!(with.allow_change(&keep("acme-b")).is_err());
        let without = asking(&["a"], "").allow_change(&keep("acme-a"));
        let told = without.unwrap_err().rule;
        assert!(told.contains("`disk.keep` is not granted"), "{told}");
        // Nothing is left: not even the binding.
        assert!(asking(&["{prefix?}a"], "").bindings.is_empty());
    }

    #[test]
    fn only_what_widens_counts_as_new() {
        let dir = tempfile::tempdir().unwrap();
        let site = site(dir.path());
        let old = asked(&site, &descriptor(Need::One, "disk.config")).unwrap();
        let binding = &old.bindings[0].binding;
        let mut verb = old.bindings[0].verbs[0].clone();
        assert!(covers(&old, binding, &verb));
        verb.scope = vec![Scope::new("acme-x*").unwrap()];
        assert!(covers(&old, binding, &verb));
        verb.scope = vec![Scope::new("a*").unwrap()];
        assert!(!covers(&old, binding, &verb));
        assert!(!covers(
            &old,
            &Binding::new("disk.data").unwrap(),
            &old.bindings[0].verbs[0]
        ));
    }

    #[test]
    fn a_broken_grants_file_is_shown_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(GRANTS_FILE), "\n[[grant]]\nplugin = 1\n").unwrap();
        let failure = Grants::load(&site(dir.path())).unwrap_err();
        assert_eq!(failure.code(), Code::GrantsInvalid);
        assert_eq!(failure.data().place.unwrap().line, 3);
    }
}
