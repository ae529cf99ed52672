//! A robot's secret in the forms that clients take.
//!
//! Spec: the `auths` of docker's `config.json`; a Kubernetes `Secret` of the type `kubernetes.io/dockerconfigjson`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use management::RobotSecret;
use serde_json::{Value, json};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Words,
    /// docker's `config.json`.
    DockerConfig,
    /// A manifest for `kubectl apply`.
    KubernetesSecret,
}

/// The secret of a robot for the registry at `host`.
pub fn written(form: Form, host: &str, secret: &RobotSecret, secret_name: Option<&str>) -> String {
    let RobotSecret { name, secret: text } = secret;
    let pretty = |value: &Value| {
        let text = serde_json::to_string_pretty(value).expect("these are texts");
        format!("{text}\n")
    };
    match form {
        Form::Words => format!(
            "Write the secret down, it is shown this once:\n  user      {name}\n  password  {text}\n\n\
             To sign in:\n  docker login {host} --username '{name}' --password-stdin\n"
        ),
        Form::DockerConfig => pretty(&docker_config(host, name, text)),
        Form::KubernetesSecret => {
            let config = docker_config(host, name, text).to_string();
            let called = secret_name.map_or_else(|| object_name(name), ToOwned::to_owned);
            // JSON is YAML, and `kubectl apply -f -` takes either.
            pretty(&json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": called},
                "type": "kubernetes.io/dockerconfigjson",
                "data": {".dockerconfigjson": STANDARD.encode(config)},
            }))
        }
    }
}

fn docker_config(host: &str, user: &str, secret: &str) -> Value {
    let auth = STANDARD.encode(format!("{user}:{secret}"));
    json!({"auths": {host: {"auth": auth}}})
}

/// The robot's name as a Kubernetes object may have it: lower-case letters, digits and `-`, with a letter or digit at the ends.
fn object_name(robot: &str) -> String {
    let plain = robot.chars().map(|c| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() => c,
        _ => '-',
    });
    let plain: String = plain.collect();
    plain.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> RobotSecret {
        RobotSecret {
            name: "robot$team+deploy".to_owned(),
            secret: "hfr_x".to_owned(),
        }
    }

    #[test]
    fn docker_reads_the_config() {
        let text = written(Form::DockerConfig, "registry.example:5000", &secret(), None);
        let read: Value = serde_json::from_str(&text).unwrap();
        let auth = read["auths"]["registry.example:5000"]["auth"]
            .as_str()
            .unwrap();
        assert_eq!(STANDARD.decode(auth).unwrap(), b"robot$team+deploy:hfr_x");
    }

    #[test]
    fn kubernetes_reads_the_secret() {
        let text = written(Form::KubernetesSecret, "registry.example", &secret(), None);
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["metadata"]["name"], "robot-team-deploy");
        assert_eq!(read["type"], "kubernetes.io/dockerconfigjson");
        let config = read["data"][".dockerconfigjson"].as_str().unwrap();
        let config: Value = serde_json::from_slice(&STANDARD.decode(config).unwrap()).unwrap();
        assert!(config["auths"]["registry.example"]["auth"].is_string());
        let named = written(Form::KubernetesSecret, "x", &secret(), Some("regcred"));
        assert!(named.contains("\"name\": \"regcred\""), "{named}");
    }
}
