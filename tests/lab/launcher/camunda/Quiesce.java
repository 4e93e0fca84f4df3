package lab;

import java.util.Map;
import org.camunda.bpm.engine.impl.jobexecutor.JobExecutor;
import org.springframework.boot.actuate.endpoint.annotation.Endpoint;
import org.springframework.boot.actuate.endpoint.annotation.ReadOperation;
import org.springframework.boot.actuate.endpoint.annotation.WriteOperation;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.stereotype.Component;

/** Stops and resumes the acquisition of jobs; running jobs finish, queued ones are unlocked. */
@Component
@Endpoint(id = "jobexecutor")
@ConditionalOnProperty("lab.quiesce")
public class Quiesce {
    private final JobExecutor executor;

    public Quiesce(JobExecutor executor) {
        this.executor = executor;
    }

    @ReadOperation
    public Map<String, Object> state() {
        return Map.of("active", executor.isActive(), "lockOwner", executor.getLockOwner());
    }

    @WriteOperation
    public Map<String, Object> set(boolean active) {
        if (active) {
            executor.start();
        } else {
            executor.shutdown();
        }
        return state();
    }
}
