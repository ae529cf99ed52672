//! Those who ask for more than they may, those whom nobody had heard of, and those who bring projects with their first push.

use metadata::access::{
    AccessCommand, AccountName, Asker, GroupName, MemberName, NoteLogin, Role, Settings, Source,
    Who,
};
use oci::ProjectName;

use super::permit::Permit;
use super::{Client, Told};

impl Client {
    /// A node says who logged in elsewhere: they are few, and come again.
    pub(super) async fn note_login(&self) {
        let name = format!("cn-{}", self.dice.within(0..5));
        let group = format!("elsewhere-{}", self.dice.within(0..3));
        let group = GroupName::parse(&group).expect("a valid name");
        let login = NoteLogin {
            user: AccountName::user(&name).expect("a valid name"),
            source: match self.dice.hits(500) {
                true => Source::Ldap,
                false => Source::Htpasswd,
            },
            email: None,
            groups: self.dice.hits(500).then(|| vec![group]),
        };
        self.change(AccessCommand::NoteLogin(login), &[]).await;
    }

    /// Somebody who may nothing gives themselves something, or pushes to a project that is not there.
    pub(super) async fn ask_for_too_much(&self) {
        let Some(permit) = self.new_user("stranger").await else {
            return;
        };
        self.take_a_project(&permit).await;
        if self.dice.hits(850) {
            self.bring_a_project(&permit).await;
        }
    }

    /// It is refused, and leaves no trace in the audit.
    async fn take_a_project(&self, permit: &Permit) {
        let Some((name, who)) = stranger(permit) else {
            return;
        };
        let (command, action) = match self.dice.hits(500) {
            true => {
                let command = AccessCommand::SetMember {
                    project: self.project(),
                    member: MemberName::User(name),
                    role: Some(Role::Owner),
                };
                (command, "project.member")
            }
            false => (AccessCommand::DropTokenKey { number: 1 }, "key.drop"),
        };
        let begun = self.world.watch.changes.begin(action);
        let told = self.change_by(who, Some(begun), command, &[]).await;
        if let (Told::Done(_), true) = (told, self.world.plan.access.is_always_on()) {
            let said = "somebody who may nothing gave themselves something".to_owned();
            self.world.breach("P8", said);
        }
    }

    /// Where pushes make projects, one is made, and is theirs.
    async fn bring_a_project(&self, permit: &Permit) {
        let Some((_, who)) = stranger(permit) else {
            return;
        };
        let settings = Settings {
            users_create_projects: true,
            auto_create_projects: true,
        };
        self.change(AccessCommand::Settle(settings), &[]).await;
        let project = ProjectName::parse(&format!("new{}", permit.id.1)).expect("a valid name");
        let repository = Self::repository_of(&project);
        let asker = Asker { who, from: None };
        let pushed = self
            .ask_as(&asker, "push to what is not there", |registry, caller| async move {
                registry.open_upload(&caller, &repository, None).await
            })
            .await;
        if let Told::Done(_) = pushed {
            self.world.answered("project made by a push");
        }
    }
}

fn stranger(permit: &Permit) -> Option<(AccountName, Who)> {
    let account = permit.account.as_ref()?;
    Some((account.name.clone(), permit.who(0)))
}
