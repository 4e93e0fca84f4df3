//! What a site keeps in Kuzzle: an administrator, users, collections with odd names, documents.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use serde_json::json;

use super::node::Kuzzle;
use crate::error::LabError;
use crate::http::HttpTarget;
use crate::http::Secret;

/// The administrator's id and name.
pub const ADMIN: &str = "lab-admin";

/// The password of all users.
pub const PASSWORD: &str = "lab-canary-4711";

/// Users beside the administrator.
const USERS: [&str; 3] = ["ada", "grace", "zo\u{eb}"];

/// Index and collection, and how many documents. Kuzzle takes all of these names; in the search server each is an
/// index `&INDEX.COLLECTION`.
const COLLECTIONS: [(&str, &str, usize); 6] = [
    ("nyc-open-data", "yellow-taxi", 450),
    ("nyc-open-data", "_underscore__", 3),
    ("m\u{fc}ll", "caf\u{e9}-\u{65e5}\u{672c}", 7),
    ("minus--minus", "a=b~c!d", 5),
    ("4711", "(it's)[1]{2};@$^`", 5),
    ("nyc-open-data", "empty", 0),
];

/// Most documents that Kuzzle takes in one request unless it is told otherwise.
const WRITTEN_AT_ONCE: usize = 200;

/// One collection as it was filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// Kuzzle's index.
    pub index: String,
    /// Its name there.
    pub name: String,
    /// How many documents it has.
    pub documents: usize,
}

impl Collection {
    /// The path of the collection, encoded: `/INDEX/COLLECTION`.
    pub fn path(&self) -> String {
        format!("/{}/{}", encoded(&self.index), encoded(&self.name))
    }

    /// The name of its index in the search server.
    pub fn stored_as(&self) -> String {
        format!("&{}.{}", self.index, self.name)
    }
}

/// What was put into a Kuzzle.
#[derive(Clone, Debug)]
pub struct Seeded {
    /// A token of the administrator; good for an hour.
    pub token: Secret,
    /// All collections.
    pub collections: Vec<Collection>,
    /// All users, the administrator among them, by id.
    pub users: Vec<String>,
}

/// Makes the first administrator, which takes its rights from everybody without a token; then users, collections and
/// documents. Once for each Kuzzle.
pub async fn seed(kuzzle: &Kuzzle) -> Result<Seeded, LabError> {
    let admin = json!({ "content": { "name": "Lab" }, "credentials": credentials(ADMIN) });
    // In the body `reset` would be ignored, and whoever has no token would keep all rights.
    let path = format!("/_createFirstAdmin/{ADMIN}?reset=true");
    kuzzle.target().post(&path, &admin).await?;
    let token = login(kuzzle, ADMIN).await?;
    let api = kuzzle.as_user(token.clone());
    let mut users = vec![ADMIN.to_owned()];
    for user in USERS {
        let body = json!({
            "content": { "profileIds": ["default"], "name": format!("{user} of the lab") },
            "credentials": credentials(user),
        });
        let path = format!("/users/{}/_create?refresh=wait_for", encoded(user));
        api.post(&path, &body).await?;
        users.push(user.to_owned());
    }
    let mut collections = Vec::new();
    for (index, name, documents) in COLLECTIONS {
        let collection = Collection {
            index: index.to_owned(),
            name: name.to_owned(),
            documents,
        };
        fill(&api, &collection).await?;
        collections.push(collection);
    }
    users.sort();
    Ok(Seeded {
        token,
        collections,
        users,
    })
}

/// A new token for a user of the lab.
pub async fn login(kuzzle: &Kuzzle, user: &str) -> Result<Secret, LabError> {
    let body = json!({ "username": user, "password": PASSWORD });
    let answer = kuzzle.target().post("/_login/local", &body).await?;
    answer["result"]["jwt"]
        .as_str()
        .map(Secret::new)
        .ok_or_else(|| LabError::malformed("the answer to a login", "it has no token"))
}

/// How many documents a collection has, as Kuzzle says.
pub async fn count(api: &HttpTarget, collection: &Collection) -> Result<u64, LabError> {
    let path = format!("{}/_count", collection.path());
    let answer = api.post(&path, &json!({})).await?;
    answer["result"]["count"]
        .as_u64()
        .ok_or_else(|| LabError::malformed("the answer to a count", answer.to_string()))
}

fn credentials(user: &str) -> Value {
    json!({ "local": { "username": user, "password": PASSWORD } })
}

async fn fill(api: &HttpTarget, collection: &Collection) -> Result<(), LabError> {
    let index = format!("/{}/_create", encoded(&collection.index));
    let exists = format!("/{}/_exists", encoded(&collection.index));
    if api.get(&exists).await?["result"] != true {
        api.post(&index, &json!({})).await?;
    }
    let path = collection.path();
    let mappings = json!({ "mappings": { "properties": {
        "n": { "type": "long" },
        "text": { "type": "keyword" },
    } } });
    api.put(&path, &mappings).await?;
    let documents: Vec<Value> = (0..collection.documents).map(document).collect();
    for documents in documents.chunks(WRITTEN_AT_ONCE) {
        let answer = api
            .post(
                &format!("{path}/_mCreate?refresh=wait_for"),
                &json!({ "documents": documents }),
            )
            .await?;
        // A refusal of single documents is a success to HTTP.
        let errors = answer["result"]["errors"].as_array().map_or(1, Vec::len);
        if errors != 0 {
            return Err(LabError::malformed(
                format!("a write to `{path}`"),
                answer["result"]["errors"].to_string(),
            ));
        }
    }
    Ok(())
}

fn document(number: usize) -> Value {
    json!({ "_id": format!("id {number}/%"), "body": { "n": number, "text": format!("\u{fc}{number}") } })
}

/// What stands in a part of a path as it is; all else is encoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// A name as one part of a path.
fn encoded(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        assert_eq!(encoded("a-1"), "a-1");
        assert_eq!(encoded("\u{fc}/ %"), "%C3%BC%2F%20%25");
    }
}
