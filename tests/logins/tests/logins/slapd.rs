//! OpenLDAP's server with a small company in it: one database, an overlay that keeps `memberOf`, and certificates of its own.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use harness::{Process, ports, tools};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

const START_MAX: Duration = Duration::from_secs(30);
/// Somebody may take a free port before it does.
const TRIES: usize = 3;

/// As whom Holdfast looks for users.
pub const SERVICE_DN: &str = "cn=holdfast,dc=example,dc=org";
/// Its password.
pub const SERVICE_PASSWORD: &str = "service secret";
/// Below which users are.
pub const PEOPLE: &str = "ou=people,dc=example,dc=org";
/// Below which groups are.
pub const GROUPS: &str = "ou=groups,dc=example,dc=org";
/// Everybody's.
pub const PASSWORD: &str = "correct horse";

/// The service may search people and groups; people may read themselves; nobody else may anything but prove who they are.
const CONFIG: &str = "
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
pidfile FOLDER/pid
TLSCACertificateFile FOLDER/authority.pem
TLSCertificateFile FOLDER/certificate.pem
TLSCertificateKeyFile FOLDER/key.pem
database mdb
suffix dc=example,dc=org
rootdn cn=root,dc=example,dc=org
rootpw root-secret
directory FOLDER/db
overlay memberof
memberof-group-oc groupOfNames
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=holdfast,dc=example,dc=org read by self read by anonymous auth by * none
";

/// `lee` has what is special in filters and in names; two entries are called `twin`; `nameless` has two names.
const ENTRIES: &str = "
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=holdfast,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: holdfast
userPassword: service secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: ou=elsewhere,dc=example,dc=org
objectClass: organizationalUnit
ou: elsewhere

dn: uid=ann,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: ann
cn: Ann
sn: Ann
mail: ann@example.org
userPassword: correct horse

dn: cn=Lee \\2A (North)\\, Ltd,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: lee
cn: Lee * (North), Ltd
sn: Lee
userPassword: correct horse

dn: cn=twin 1,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: twin 1
sn: twin
userPassword: correct horse

dn: cn=twin 2,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: twin
cn: twin 2
sn: twin
userPassword: correct horse

dn: cn=nameless,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: one-name
uid: other-name
cn: nameless
sn: nameless
userPassword: correct horse

dn: cn=no password,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: locked
cn: no password
sn: locked

dn: cn=dev,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: dev
member: uid=ann,ou=people,dc=example,dc=org
member: cn=Lee \\2A (North)\\, Ltd,ou=people,dc=example,dc=org

dn: cn=ops,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: ops
member: uid=ann,ou=people,dc=example,dc=org

dn: cn=admins,ou=elsewhere,dc=example,dc=org
objectClass: groupOfNames
cn: admins
member: uid=ann,ou=people,dc=example,dc=org
";

/// A running directory. Ends, and takes its folder along, when dropped.
pub struct Slapd {
    /// `127.x.y.z:port` of LDAP.
    pub plain: String,
    /// That of LDAP over TLS.
    pub encrypted: String,
    process: Process,
    folder: tempfile::TempDir,
}

impl Slapd {
    /// Starts it on free ports, and fills it.
    pub fn start() -> anyhow::Result<Slapd> {
        let mut tries = 1;
        loop {
            match Slapd::try_start() {
                Err(_) if tries < TRIES => tries += 1,
                result => return result,
            }
        }
    }

    fn try_start() -> anyhow::Result<Slapd> {
        let folder = tempfile::Builder::new().prefix("slapd-").tempdir()?;
        let path = folder.path();
        // Its own address, so that its ports are still free when it is started again.
        let host = ports::own_address();
        let [plain, encrypted] = ports::free_at(host)?;
        std::fs::create_dir(path.join("db"))?;
        certify(path, host.into())?;
        let shown = path.display().to_string();
        std::fs::write(path.join("slapd.conf"), CONFIG.replace("FOLDER", &shown))?;
        std::fs::write(path.join("entries"), ENTRIES.trim_start())?;
        std::fs::write(
            path.join("service-password"),
            format!("{SERVICE_PASSWORD}\n"),
        )?;
        let (plain, encrypted) = (format!("{host}:{plain}"), format!("{host}:{encrypted}"));
        let process = spawn(path, &plain, &encrypted)?;
        let mut add = Command::new(tools::find("ldapadd")?);
        add.args(["-x", "-H", &format!("ldap://{plain}"), "-w", "root-secret"]);
        add.args(["-D", "cn=root,dc=example,dc=org", "-f"]);
        tools::run(add.arg(path.join("entries"))).context("it is not filled")?;
        Ok(Slapd {
            plain,
            encrypted,
            process,
            folder,
        })
    }

    /// The certificate of the authority that its clients trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The file of [`SERVICE_PASSWORD`].
    pub fn service_password_file(&self) -> PathBuf {
        self.folder.path().join("service-password")
    }

    /// `kill -9`: from now on connections are refused.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again with all that it had, at the same place.
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.process = spawn(self.folder.path(), &self.plain, &self.encrypted)?;
        Ok(())
    }

    /// Its process, to be paused.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn spawn(folder: &Path, plain: &str, encrypted: &str) -> anyhow::Result<Process> {
    let mut command = Command::new(tools::find("slapd")?);
    command.arg("-f").arg(folder.join("slapd.conf"));
    command.args(["-d", "stats", "-h"]);
    command.arg(format!("ldap://{plain} ldaps://{encrypted}"));
    let mut process = Process::start("slapd", &mut command)?;
    for address in [plain, encrypted] {
        process.wait_until("its ports", START_MAX, || {
            TcpStream::connect(address).is_ok()
        })?;
    }
    Ok(process)
}

/// An authority and a certificate of it for this address, and for no name.
fn certify(folder: &Path, host: std::net::IpAddr) -> anyhow::Result<()> {
    let (authority_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut authority = CertificateParams::new([])?;
    authority
        .distinguished_name
        .push(DnType::CommonName, "the company's authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&authority_key)?;
    std::fs::write(folder.join("authority.pem"), certificate.pem())?;
    let mut own = CertificateParams::new([])?;
    own.subject_alt_names = vec![SanType::IpAddress(host)];
    let issuer = Issuer::from_params(&authority, &authority_key);
    let certificate = own.signed_by(&key, &issuer)?;
    std::fs::write(folder.join("certificate.pem"), certificate.pem())?;
    std::fs::write(folder.join("key.pem"), key.serialize_pem())?;
    Ok(())
}
